package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// followLimit bounds how long messages wait for a slot that moves, and for
	// its subscribers to follow it.
	followLimit = 2 * time.Second
	followPoll  = 20 * time.Millisecond

	// maxAudiences bounds the channels whose audience is remembered.
	maxAudiences = 10_000
)

// drainSharded publishes the next batch of the queue. It reports false if there
// is none, or the link broke.
//
// In a Redis Cluster the messages go to the servers that have their channels,
// to all of them at a time: they keep their order in each channel, and are not
// repeated unless a server says that it has not taken them.
func (p *publisher) drainSharded(ctx context.Context) bool {
	p.batch = p.queue.take(p.batch, batchMessages, batchBytes)
	if len(p.batch) == 0 {
		return false
	}
	// What is left was not taken, and is sent again.
	rest := copy(p.batch, p.sendFollowing(ctx, p.batch))
	clear(p.batch[rest:])
	p.batch = p.batch[:rest]
	return true
}

// sendFollowing publishes messages, which follow slots that move. It returns
// those that no server has taken, and then brings the link down.
func (p *publisher) sendFollowing(ctx context.Context, messages []outgoing) (left []outgoing) {
	p.sub.settled(ctx)
	limit, last := time.Now().Add(followLimit), false
	left = messages
	for len(left) > 0 {
		var cause error
		if left, cause = p.sendSharded(ctx, left); cause == nil && len(left) > 0 && (last || ctx.Err() != nil) {
			cause = errMoving
		}
		if cause != nil {
			p.link.down(cause)
			break
		}
		if len(left) > 0 {
			last = !p.follow(ctx, left, limit)
		}
	}
	return left
}

// errMoving is the state when the servers of a Redis Cluster do not agree on
// who has a slot.
var errMoving = errors.New("redis: a slot of the cluster is at no server")

// audience is who heard a channel of a Redis Cluster last.
type audience struct {
	server    goredis.UniversalClient
	receivers int64
}

// parcel is what goes to one server.
type parcel struct {
	goredis.Pipeliner
	cmds []publishCmd
	at   []int // the place of each command in the batch
}

// sendSharded publishes messages and returns those that have to be sent again,
// in their order: they were not taken. The error is why the link is broken.
func (p *publisher) sendSharded(ctx context.Context, messages []outgoing) (left []outgoing, cause error) {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	again := make([]bool, len(messages))
	parcels := make(map[goredis.UniversalClient]*parcel, 1)
	for i, m := range messages {
		server, err := p.server(ctx, m.channel)
		if err != nil {
			return messages, err // nothing was sent
		}
		if last, ok := p.audiences[m.channel]; ok && last.server != server {
			again[i] = true // when those who heard it there hear it here
			continue
		}
		to := parcels[server]
		if to == nil {
			to = &parcel{Pipeliner: server.Pipeline()}
			parcels[server] = to
		}
		cmd := publishCmd{goredis.NewIntCmd(ctx, "spublish", m.channel, m.payload)}
		cmd.SetVal(noReply)
		_ = to.Process(ctx, cmd) // queues; errors come from Exec
		to.cmds, to.at = append(to.cmds, cmd), append(to.at, i)
	}
	var sending sync.WaitGroup
	for _, to := range parcels {
		sending.Go(func() { _, _ = to.Exec(ctx) }) // each command has its error
	}
	sending.Wait()
	refusals, refusal := 0, error(nil)
	for server, to := range parcels {
		for i, cmd := range to.cmds {
			m := messages[to.at[i]]
			err := cmd.Err()
			_, moved := movedSlot(err)
			switch {
			case err == nil && cmd.Val() != noReply:
				p.published.Add(1)
				p.remember(m, audience{server, cmd.Val()})
				continue
			case moved:
				again[to.at[i]] = true
				continue
			case notSent(err) || forNow(err):
				again[to.at[i]] = true
			default:
				p.dropped.Add(1)
			}
			switch {
			case err == nil:
				cause = errNoReply
			case !isReply(err) || forNow(err):
				cause = err
			default:
				refusals, refusal = refusals+1, err
			}
		}
	}
	p.noteRefused(refusals, refusal) // no state of the link: a PING would succeed
	for i, m := range messages {
		if again[i] {
			left = append(left, m)
		}
	}
	return left, cause
}

// errNoReply is the state when a server answers less than it was asked.
var errNoReply = errors.New("redis: a reply is missing")

// server returns a client of the server that has a channel.
func (p *publisher) server(ctx context.Context, channel string) (goredis.UniversalClient, error) {
	if cluster, ok := p.client.(*goredis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, channel)
	}
	return p.client, nil
}

// remember notes who heard a message, to know when all have followed its
// channel elsewhere.
func (p *publisher) remember(m outgoing, by audience) {
	if m.channel == m.request && by.receivers > p.heard[m.request] {
		p.heard[m.request] = by.receivers
	}
	if _, ok := p.client.(*goredis.ClusterClient); !ok {
		return
	}
	if len(p.audiences) >= maxAudiences {
		clear(p.audiences)
	}
	p.audiences[m.channel] = by
}

// follow waits until as many hear the channels of messages as did before their
// slots moved. It reports false if that was not so before limit.
func (p *publisher) follow(ctx context.Context, messages []outgoing, limit time.Time) bool {
	waiting := make(map[string]struct{})
	for _, m := range messages {
		waiting[m.channel] = struct{}{}
	}
	for {
		reload(ctx, p.client)
		select {
		case <-time.After(followPoll):
		case <-ctx.Done():
			return false
		}
		late := time.Now().After(limit)
		for channel := range waiting {
			server, err := p.server(ctx, channel)
			if err != nil {
				continue
			}
			now, err := numSub(ctx, server, true, []string{channel})
			before := p.audiences[channel]
			if err == nil && now[channel] >= before.receivers || late {
				p.audiences[channel] = audience{server, before.receivers}
				delete(waiting, channel)
			}
		}
		if late || len(waiting) == 0 {
			return !late
		}
	}
}

// pingAll asks every server that something may be published to.
func (p *publisher) pingAll(ctx context.Context) error {
	cluster, ok := p.client.(*goredis.ClusterClient)
	if !ok {
		return p.client.Ping(ctx).Err()
	}
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error {
		return node.Ping(ctx).Err()
	})
	if err != nil {
		reload(ctx, cluster)
	}
	return err
}

// isReply reports whether an error is an answer of Redis.
func isReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply)
}

// notSent reports whether a message cannot have arrived, because there was no
// connection to send it on.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// forNow reports whether Redis has refused a message because of a state that
// passes.
func forNow(err error) bool {
	if !isReply(err) {
		return false
	}
	kind, _, _ := strings.Cut(err.Error(), " ")
	switch kind {
	case "CLUSTERDOWN", "TRYAGAIN", "LOADING", "MASTERDOWN", "READONLY":
		return true
	}
	return false
}
