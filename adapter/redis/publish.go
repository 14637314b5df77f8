package redis

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
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
	sub    listener
	log    *slog.Logger

	// anchor is a name that picks one node of a Redis Cluster for everything:
	// messages keep their order only if they enter the cluster in one place.
	anchor string

	// sharded says that channels are those of sharded Pub/Sub, each of which
	// has a server of its own in a Redis Cluster.
	sharded bool

	stop chan struct{} // closed: send what is queued, and end
	done chan struct{} // closed when run has ended

	published, dropped atomic.Uint64

	// notTaken are messages that Redis refused for themselves.
	notTaken repeatedLine

	// maxAge is for how long a message may wait; 0 for ever.
	maxAge time.Duration

	// maxLen is how many entries a stream keeps; 0 in the other families.
	maxLen int

	// What follows belongs to run.
	batch   []outgoing        // what is being sent, and what is to be sent again
	lastIDs map[string]string // of the last own entry, by stream
	refusal error             // why Redis does not take entries now
	full    bool              // it took none the last time
	pause   backoff           // between attempts meanwhile
	heard   map[string]int64  // subscribers of the request channels as last seen
	unheard int               // heartbeats in a row that missed an own subscription

	// audiences are those of the channels of a Redis Cluster as last seen.
	audiences map[string]audience
}

func newPublisher(client goredis.UniversalClient, q *queue, l *link, sub listener, c config) *publisher {
	p := &publisher{
		client: client,
		queue:  q,
		link:   l,
		sub:    sub,
		log:    l.log,
		anchor: c.key,
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		heard:  make(map[string]int64),
		maxAge: c.backlogAge,

		sharded:   c.shardedChannels(),
		audiences: make(map[string]audience),
	}
	if c.streams != nil {
		p.maxLen, p.lastIDs = c.streams.maxLen, make(map[string]string)
	}
	return p
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
	defer func() { p.dropped.Add(uint64(p.queue.len() + len(p.batch))) }()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	var again <-chan time.Time
	for {
		changed := p.link.watch()
		if !p.link.isUp() {
			if !p.connect(ctx) {
				return
			}
			continue
		}
		if p.refusal != nil && again == nil {
			again = time.After(p.pause.next())
		}
		select {
		case <-p.queue.ready:
			if p.refusal != nil {
				p.passBy(ctx)
			} else {
				p.drain(ctx)
			}
		case <-again:
			again = nil
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
	if err := p.recall(ctx); err != nil {
		p.link.down(err)
		return false
	}
	expired := p.expire()
	if !p.link.up(p.queue.len()+len(p.batch), expired) {
		return false
	}
	p.observe(ctx)
	p.unheard = 0
	p.wake()
	return true
}

// expire drops what is too old to be sent, and returns how many that are.
func (p *publisher) expire() (dropped int) {
	p.batch, dropped = p.queue.expire(p.batch, p.maxAge)
	p.dropped.Add(uint64(dropped))
	return dropped
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
	if len(p.heard) == 0 || p.maxLen > 0 {
		return // a stream is read from where it was
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
	probes := p.sub.probes()
	now, err := p.count(ctx, probes)
	if err != nil || !slices.ContainsFunc(probes, func(name string) bool { return now[name] == 0 }) {
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
		if p.sharded && p.maxLen == 0 {
			if !p.drainSharded(ctx) {
				return
			}
			continue
		}
		if err := p.recall(ctx); err != nil {
			p.link.down(err)
			return
		}
		if p.refusal != nil {
			p.expire()
		}
		if p.batch = p.queue.take(p.batch, batchMessages, batchBytes); len(p.batch) == 0 {
			p.accept() // what comes next shows whether that is so
			return
		}
		if p.sharded {
			if !p.sendApart(ctx) {
				return
			}
			continue
		}
		p.sub.settled(ctx)
		if !p.send(ctx) {
			return
		}
	}
}

// node returns the client of the one server that a message is sent to.
func (p *publisher) node(ctx context.Context, m *outgoing) (goredis.Cmdable, error) {
	cluster, ok := p.client.(*goredis.ClusterClient)
	switch {
	case !ok:
		return p.client, nil
	case m != nil && (m.entry != nil || m.session != nil):
		return cluster.MasterForKey(ctx, m.channel)
	}
	return cluster.MasterForKey(ctx, p.anchor)
}

// publishCmd is a PUBLISH that the client must not repeat on its own: what was
// sent when a connection broke may have arrived.
type publishCmd struct{ *goredis.IntCmd }

func (publishCmd) NoRetry() bool { return true }

// noReply is the value of a publishCmd that nobody answered. The client leaves
// such a command without an error in some cases.
const noReply = -1

// send publishes the batch, in one pipeline for each row of messages to one
// server. It leaves in the batch what is to be sent again, and reports false if
// that is to wait.
func (p *publisher) send(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	outcomes := make([]outcome, len(p.batch))
	var failure error
	for begin := 0; begin < len(p.batch); {
		end := begin + 1
		node, err := p.node(ctx, &p.batch[begin])
		for ; err == nil && end < len(p.batch); end++ {
			if other, err := p.node(ctx, &p.batch[end]); err != nil || other != node {
				break
			}
		}
		if err == nil && failure == nil {
			err = p.exec(ctx, node, p.batch[begin:end], outcomes[begin:end])
		} else {
			for i := begin; i < end; i++ {
				outcomes[i] = refused // it was not sent
			}
		}
		failure = cmp.Or(failure, err)
		begin = end
	}
	return p.settleBatch(ctx, outcomes, failure)
}

// exec publishes messages in one pipeline to one server. Its error is the first
// one that is not an answer of Redis to one message alone.
func (p *publisher) exec(ctx context.Context, node goredis.Cmdable, batch []outgoing, outcomes []outcome) error {
	pipe := node.Pipeline()
	cmds := make([]goredis.Cmder, len(batch))
	for i := range batch {
		cmds[i] = p.command(ctx, &batch[i])
		_ = pipe.Process(ctx, cmds[i]) // queues; errors come from Exec
	}
	_, err := pipe.Exec(ctx)
	for i, cmd := range cmds {
		outcomes[i] = outcomeOf(cmd)
		if outcomes[i] != accepted {
			continue
		}
		switch cmd := cmd.(type) {
		case publishCmd:
			// Every node hears every channel of a namespace, but for answers
			// to one, so that the reply is news of nodes that have come.
			if request := batch[i].request; cmd.Val() > p.heard[request] {
				p.heard[request] = cmd.Val()
			}
		case addCmd:
			if id, ok := cmd.Val().(string); ok && batch[i].entry != nil {
				p.lastIDs[batch[i].channel] = id
			}
		}
	}
	return err
}

// settleBatch counts what became of the batch, and keeps what is to be sent
// again. It reports false if that is to wait.
func (p *publisher) settleBatch(ctx context.Context, outcomes []outcome, err error) bool {
	published, refusals := uint64(0), 0
	for _, o := range outcomes {
		switch o {
		case accepted:
			published++
		case rejected:
			refusals++
		}
	}
	again := p.keep(p.batch, outcomes)
	p.published.Add(published)
	p.dropped.Add(uint64(len(p.batch)-len(again)) - published)
	clear(p.batch)
	p.batch = append(p.batch[:0], again...)
	switch {
	case err == nil:
	case goredis.HasErrorPrefix(err, "NOPERM") || p.maxLen > 0 && isAnswer(err) && !passes(err):
		// A PING would succeed, so this is no state of the link.
		p.noteRefused(refusals, err)
	case len(again) > 0 && passes(err):
		// Nor is this: a server that is full or changes its role.
		if !p.full {
			p.log.Warn("redis: entries refused, trying on", "error", err)
		}
		p.full = true
		p.refusal = err
		p.queue.hold(nil)
		if cluster, ok := p.client.(*goredis.ClusterClient); ok {
			cluster.ReloadState(ctx) // the stream may have moved
		}
		return false
	default:
		p.link.down(err)
		return false
	}
	if p.full && published > 0 {
		p.accept()
		p.full = false
		p.pause.reset()
		p.log.Info("redis: entries taken again")
		p.wake()
	}
	return true
}

// noteRefused tells that Redis refuses messages for themselves, as it does where
// the rights of the user do not go as far.
func (p *publisher) noteRefused(messages int, err error) {
	if messages > 0 {
		p.notTaken.add(messages, p.log, "redis: publishing refused", "error", err)
	}
}

// accept ends waiting for Redis to take entries again.
func (p *publisher) accept() {
	if p.refusal != nil {
		p.refusal = nil
		p.link.flows()
	}
}

func (p *publisher) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	if p.sharded {
		return p.pingAll(ctx)
	}
	node, err := p.node(ctx, nil)
	if err != nil {
		return err
	}
	if err := node.Ping(ctx).Err(); err != nil {
		reload(ctx, p.client)
		return err
	}
	return nil
}

// reload asks a client for news of its Redis Cluster, after a server did not
// answer: of itself it would take a minute to look for another one.
func reload(ctx context.Context, client goredis.UniversalClient) {
	if cluster, ok := client.(*goredis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}
