package redis

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	batchMessages = 512
	batchBytes    = 1 << 20

	// execTimeout bounds one exchange, beside the time-outs of the client.
	execTimeout = 5 * time.Second

	// heartbeat is how often an idle publisher looks whether Redis is there.
	heartbeat = 2 * time.Second

	// settleTime is how long the backlog waits, after an outage, for other
	// nodes to hear again: as long as they may pause between attempts.
	settleTime = maxBackoff
	settlePoll = 50 * time.Millisecond
)

// errUnheard is the state when Redis knows nothing of a subscription that it
// confirmed: the subscriber is connected to another server than the publisher,
// as after a failover.
var errUnheard = errors.New("redis: own subscription not found")

// publisher sends what is queued, in order, from one goroutine. No message is
// sent twice.
type publisher struct {
	client goredis.UniversalClient
	queue  *queue
	link   *link
	sub    *subscriber
	log    *slog.Logger

	// anchor is a name that picks one node of a Redis Cluster for everything:
	// messages keep their order only if they enter the cluster in one place.
	anchor string

	stop chan struct{} // closed: send what is queued, and end
	done chan struct{} // closed when run has ended

	published, dropped atomic.Uint64

	// What follows belongs to run.
	batch   []outgoing
	heard   map[string]int64 // subscribers of the request channels as last seen
	unheard int              // heartbeats in a row that missed an own subscription
	refused bool             // Redis refused the last publication
}

func newPublisher(client goredis.UniversalClient, l *link, sub *subscriber, c config) *publisher {
	return &publisher{
		client: client,
		queue:  newQueue(c.backlogMessages, c.backlogBytes),
		link:   l,
		sub:    sub,
		log:    l.log,
		anchor: c.key,
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		heard:  make(map[string]int64),
	}
}

// finish makes run send what is queued, if the link is up, and end.
func (p *publisher) finish() {
	p.queue.close()
	close(p.stop)
}

// publish queues a message. It never blocks.
func (p *publisher) publish(m outgoing) error {
	dropped, err := p.queue.push(m)
	p.dropped.Add(uint64(dropped))
	return err
}

// run is the goroutine of the publisher. When ctx ends it gives up what is
// queued.
func (p *publisher) run(ctx context.Context) {
	defer close(p.done)
	defer func() { p.dropped.Add(uint64(p.queue.len())) }()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		changed := p.link.watch()
		if !p.link.isUp() {
			if !p.connect(ctx) {
				return
			}
			continue
		}
		select {
		case <-p.queue.ready:
			p.drain(ctx)
		case <-ticker.C:
			p.beat(ctx)
		case <-changed:
		case <-p.stop:
			p.drain(ctx)
			return
		case <-ctx.Done():
			return
		}
	}
}

// connect waits until the subscriptions stand, and tries until Redis answers.
// It reports false when it shall not go on.
//
// It leaves finding Redis to the subscriber, because a message that is sent
// before this node hears again is sent before the others do, too; and because
// a failed attempt on a pooled connection makes the client print.
func (p *publisher) connect(ctx context.Context) bool {
	var pause backoff
	for {
		changed := p.link.watch()
		var again <-chan time.Time
		if p.link.canHear() {
			err := p.ping(ctx)
			if err == nil && p.resume(ctx) {
				return true
			}
			if err != nil {
				p.link.down(err)
			}
			changed, again = nil, time.After(pause.next())
		}
		select {
		case <-again:
		case <-changed:
		case <-p.stop:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// resume brings the link up. It reports false if the subscriptions were lost
// again meanwhile.
func (p *publisher) resume(ctx context.Context) bool {
	p.settle(ctx)
	if !p.link.up(p.queue.len()) {
		return false
	}
	p.observe(ctx)
	p.unheard = 0
	p.wake()
	return true
}

// wake makes run look at the queue.
func (p *publisher) wake() {
	select {
	case p.queue.ready <- struct{}{}:
	default:
	}
}

// settle waits until the other nodes that were there before an outage hear
// again, or for settleTime: what is published earlier they would miss.
func (p *publisher) settle(ctx context.Context) {
	if len(p.heard) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	ticker := time.NewTicker(settlePoll)
	defer ticker.Stop()
	for {
		now, err := p.count(ctx, p.sub.requestChannels())
		if err != nil || p.allBack(now) {
			return
		}
		select {
		case <-ticker.C:
		case <-p.stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (p *publisher) allBack(now map[string]int64) bool {
	for channel, n := range now {
		if n < p.heard[channel] {
			return false
		}
	}
	return true
}

// beat looks whether Redis is there and knows our subscriptions.
func (p *publisher) beat(ctx context.Context) {
	if err := p.ping(ctx); err != nil {
		p.link.down(err)
		return
	}
	p.observe(ctx)
	unheard := false
	for _, channel := range p.sub.confirmedRequestChannels() {
		if n, ok := p.heard[channel]; ok && n == 0 {
			unheard = true
		}
	}
	if !unheard {
		p.unheard = 0
		return
	}
	// Once may be a matter of moments.
	if p.unheard++; p.unheard >= 2 {
		p.unheard = 0
		p.sub.reset(errUnheard)
	}
}

// observe remembers how many nodes hear each namespace.
func (p *publisher) observe(ctx context.Context) {
	if now, err := p.count(ctx, p.sub.requestChannels()); err == nil {
		clear(p.heard)
		maps.Copy(p.heard, now)
	}
}

// drain publishes what is queued until nothing is left or the link breaks.
func (p *publisher) drain(ctx context.Context) {
	for p.link.isUp() && ctx.Err() == nil {
		node, err := p.node(ctx)
		if err != nil {
			p.link.down(err)
			return
		}
		p.batch = p.queue.take(p.batch[:0], batchMessages, batchBytes)
		if len(p.batch) == 0 {
			return
		}
		p.send(ctx, node)
		clear(p.batch)
	}
}

// node returns the client of the one server that everything is sent to.
func (p *publisher) node(ctx context.Context) (goredis.Cmdable, error) {
	if cluster, ok := p.client.(*goredis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, p.anchor)
	}
	return p.client, nil
}

// publishCmd is a PUBLISH that the client must not repeat on its own: what was
// sent when a connection broke may have arrived.
type publishCmd struct{ *goredis.IntCmd }

func (publishCmd) NoRetry() bool { return true }

// noReply is the value of a publishCmd that nobody answered. The client leaves
// such a command without an error in some cases.
const noReply = -1

// send publishes the batch in one pipeline.
func (p *publisher) send(ctx context.Context, node goredis.Cmdable) {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	pipe := node.Pipeline()
	cmds := make([]publishCmd, len(p.batch))
	for i, m := range p.batch {
		cmds[i] = publishCmd{goredis.NewIntCmd(ctx, "publish", m.channel, m.payload)}
		cmds[i].SetVal(noReply)
		_ = pipe.Process(ctx, cmds[i]) // queues; errors come from Exec
	}
	_, err := pipe.Exec(ctx)
	accepted := uint64(0)
	for i, cmd := range cmds {
		if cmd.Err() != nil || cmd.Val() == noReply {
			continue
		}
		accepted++
		// Every node hears every channel of a namespace, but for answers to
		// one, so that the reply is news of nodes that have come.
		if request := p.batch[i].request; cmd.Val() > p.heard[request] {
			p.heard[request] = cmd.Val()
		}
	}
	p.published.Add(accepted)
	p.dropped.Add(uint64(len(cmds)) - accepted)
	switch {
	case err == nil:
		p.refused = false
	case goredis.HasErrorPrefix(err, "NOPERM"):
		// A PING would succeed, so this is no state of the link.
		if !p.refused {
			p.log.Warn("redis: publishing refused", "error", err)
		}
		p.refused = true
	default:
		p.link.down(err)
	}
}

func (p *publisher) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	node, err := p.node(ctx)
	if err != nil {
		return err
	}
	return node.Ping(ctx).Err()
}

// count returns the number of subscribers of each channel. It may be called
// from any goroutine.
func (p *publisher) count(ctx context.Context, names []string) (map[string]int64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	cluster, ok := p.client.(*goredis.ClusterClient)
	if !ok {
		return p.client.PubSubNumSub(ctx, names...).Result()
	}
	// Each server of a cluster counts its own subscribers, replicas included.
	var sum counts
	if err := cluster.ForEachMaster(ctx, sum.add(names)); err != nil {
		return nil, err
	}
	// A replica that is away has no subscribers.
	_ = cluster.ForEachSlave(ctx, sum.add(names))
	return sum.total, nil
}
