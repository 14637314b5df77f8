package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// errNotStarted is the error of calls before Start.
var errNotStarted = errors.New("redis: not started")

// Backend is an [adapter.Backend] over Redis. All its methods may be called
// concurrently.
//
// It keeps one connection to listen on, for all namespaces, and one to read
// from for each stream, and needs one more to publish.
type Backend struct {
	config config
	open   func() (goredis.UniversalClient, error)
	owned  bool // the client is ours to close
	feed   adapter.StatusFeed

	// handle takes the messages in place of namespaces, for a Conn.
	handle func(channel, payload string) error

	// Set by Start, and constant from then on.
	log       *slog.Logger
	client    goredis.UniversalClient
	emits     bool // the node hears nothing but answers, if the family lets it
	link      *link
	publisher *publisher
	sub       listener
	streams   *streams // nil in the other families
	cancel    context.CancelFunc

	received, lost atomic.Uint64
	malformed      repeatedLine

	mu         sync.Mutex // not held while anything else is called
	started    bool
	closed     bool
	namespaces map[string]bus // by channel and pattern
}

// New returns a back-end that connects to the Redis of a URL:
//
//	redis://user:password@host:6379/0              one server
//	rediss://host:6379                             the same over TLS; see WithTLS
//	unix://user:password@/path/to/redis.sock?db=0  one server on this machine
//	redis+sentinel://host1:26379,host2/mymaster/0  the master that Sentinels name
//	redis+cluster://user:password@host1:6379,host2 a Redis Cluster, of which any server will do
//
// User, password and database may be left out; rediss+sentinel and
// rediss+cluster are over TLS. In a URL of Sentinels user and password are
// theirs, and those of Redis the parameters username and password. The query
// takes the other options of go-redis, as in ?read_timeout=3s, and its own
// forms of URLs are understood: redis:// with the parameter master_name, or with
// addr.
//
// Time-outs that the URL does not set are two seconds. Retries are the
// back-end's own. A URL or an option that is wrong makes Start fail with
// [ErrConfig].
func New(url string, opts ...Option) *Backend {
	c := newConfig(opts)
	return &Backend{
		config: c,
		open:   func() (goredis.UniversalClient, error) { return dial(url, c.tls) },
		owned:  true,
	}
}

// FromClient returns a back-end over a client of the caller's, which stays the
// caller's to close: for all that a URL does not say.
//
// The time-outs of the client decide how soon a Redis that hangs is noticed,
// and how long Close may take beyond its context; ContextTimeoutEnabled,
// DialerRetries of 1 and time-outs of about two seconds serve best. Messages
// are never sent twice, whatever its MaxRetries.
func FromClient(client goredis.UniversalClient, opts ...Option) *Backend {
	c := newConfig(opts)
	return &Backend{
		config: c,
		open: func() (goredis.UniversalClient, error) {
			switch {
			case client == nil:
				return nil, fmt.Errorf("%w: FromClient: the client is nil", ErrConfig)
			case c.tls != nil:
				return nil, fmt.Errorf("%w: WithTLS: FromClient's client has its own", ErrConfig)
			}
			return client, nil
		},
	}
}

// Start implements [adapter.Backend]. Its errors wrap [ErrConfig], but for a
// second call.
func (b *Backend) Start(node adapter.Node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return adapter.ErrClosed
	case b.started:
		return errors.New("redis: started twice")
	}
	if err := b.config.validate(); err != nil {
		return err
	}
	client, err := b.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.log, b.client, b.cancel = node.Logger(), client, cancel
	b.namespaces = make(map[string]bus)
	if e, ok := node.(adapter.EmitterNode); ok {
		b.emits = e.EmitsOnly()
	}
	b.feed.SetLogger(b.log)
	queue := newQueue(b.config.backlogMessages, b.config.backlogBytes)
	queue.failFast = b.config.failFast
	b.link = newLink(b.log, &b.feed, queue)
	b.sub = b.newListener(client)
	b.publisher = newPublisher(client, queue, b.link, b.sub, b.config)
	b.started = true
	if b.config.streams != nil {
		b.streams = newStreams(b)
		b.streams.start(ctx)
	}
	go b.sub.run(ctx)
	go b.publisher.run(ctx)
	return nil
}

// Open implements [adapter.Backend]. A namespace can be opened again after its
// adapter was closed.
func (b *Backend) Open(host adapter.Host) (adapter.Adapter, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	n := b.newBus(host)
	subs := n.subscriptions()
	if err := b.register(n, host.Namespace(), subs); err != nil {
		return nil, err
	}
	b.sub.add(subs...)
	return n.adapter(), nil
}

// newBus is where the families part.
func (b *Backend) newBus(host adapter.Host) bus {
	switch {
	case b.streams != nil:
		return newStreamNamespace(b, host)
	case b.config.sharded != "":
		return newShardedNamespace(b, host)
	}
	return newNamespace(b, host)
}

func (b *Backend) newListener(client goredis.UniversalClient) listener {
	if sharded := b.config.shardedChannels(); sharded || b.config.rooms {
		return newChannelListener(client, sharded, b.link, b.receive)
	}
	return newSubscriber(client, b.link, b.receive)
}

// bus is what the back-end knows of a namespace, whatever its family.
type bus interface {
	cluster.Bus

	// subscriptions are always the same. The first one stands for the
	// namespace.
	subscriptions() []subscription

	// receive handles a message of one of the subscriptions. An error says
	// that it was not understood.
	receive(*goredis.Message) error

	adapter() adapter.Adapter
}

// listener hears what is subscribed to, for all namespaces. Its methods may be
// called concurrently; add and remove do not wait for the network.
type listener interface {
	add(...subscription)
	remove(...subscription)

	// missing returns the names that Redis has not confirmed, in order.
	missing() []string

	// requestChannels returns the channels by which nodes are counted.
	requestChannels() []string

	// probes returns confirmed channels of which a server that knows the
	// subscriptions counts a subscriber: those that nobody else listens to,
	// where there are such.
	probes() []string

	// settled waits until what was to be added when it was called is
	// confirmed, or for a bounded time.
	settled(context.Context)

	// reset gives up the present connections for new ones.
	reset(cause error)

	// run listens until its context ends, then ended is closed.
	run(context.Context)
	ended() <-chan struct{}
}

func (b *Backend) usable() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return adapter.ErrClosed
	case !b.started:
		return errNotStarted
	}
	return nil
}

func (b *Backend) register(n bus, name string, subs []subscription) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return adapter.ErrClosed
	}
	if _, ok := b.namespaces[subs[0].name]; ok {
		return fmt.Errorf("redis: namespace %q is open already", name)
	}
	for _, s := range subs {
		b.namespaces[s.name] = n
	}
	return nil
}

// forget ends the subscriptions of a namespace.
func (b *Backend) forget(n bus) {
	subs := n.subscriptions()
	b.mu.Lock()
	if b.namespaces[subs[0].name] != n {
		b.mu.Unlock()
		return
	}
	for _, s := range subs {
		delete(b.namespaces, s.name)
	}
	b.mu.Unlock()
	b.sub.remove(subs...)
}

// receive is where every message from Redis comes in, in order. It returns
// when the message has been handled, and does not wait for anything.
func (b *Backend) receive(m *goredis.Message) {
	// The last defence: one bad message must not end the node.
	defer func() {
		if r := recover(); r != nil {
			b.complain(m.Channel, fmt.Errorf("panic: %v", r))
		}
	}()
	if b.handle != nil {
		if err := b.handle(m.Channel, m.Payload); err != nil {
			b.complain(m.Channel, err)
		}
		return
	}
	if b.config.rooms && strings.HasPrefix(m.Channel, b.config.key+"#") {
		b.receiveRoom(m)
		return
	}
	if n := b.busOf(m); n != nil {
		if err := n.receive(m); err != nil {
			b.complain(m.Channel, err)
		}
	}
}

// busOf returns the namespace that a message is for, or nil.
func (b *Backend) busOf(m *goredis.Message) bus {
	name := m.Pattern
	if name == "" {
		name = m.Channel
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.namespaces[name]; n != nil || b.config.sharded == "" {
		return n
	}
	return b.shardedBus(name)
}

// complain tells of a message that was not understood.
func (b *Backend) complain(channel string, err error) {
	b.malformed.add(1, b.log, "redis: message skipped", "channel", channel, "error", err)
}

// Fleet returns the name of the fleet for [adapter.Join]. The Redis is no part
// of it: nodes may know it by different addresses.
func (b *Backend) Fleet() string {
	switch {
	case b.config.sharded != "":
		return "redis-sharded " + b.config.key
	case b.config.streams != nil:
		return "redis-streams " + b.config.key + " " + b.config.streams.name
	}
	return "redis " + b.config.key
}

// Ready implements [adapter.Backend].
func (b *Backend) Ready(ctx context.Context) error {
	for {
		if err := b.usable(); err != nil {
			return err
		}
		changed := b.link.watch()
		missing := b.missing()
		if missing == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("redis: not ready: %w: %w", missing, ctx.Err())
		}
	}
}

// missing returns nil if the back-end is ready, else what it is not.
func (b *Backend) missing() error {
	if err := b.link.status(); err != nil {
		return fmt.Errorf("not connected: %w", err)
	}
	if names := b.sub.missing(); len(names) > 0 {
		return fmt.Errorf("subscriptions not confirmed: %s", strings.Join(names, ", "))
	}
	return nil
}

// Status implements [adapter.StatusReporter].
func (b *Backend) Status() adapter.Status {
	b.mu.Lock()
	l, closed := b.link, b.closed
	b.mu.Unlock()
	switch {
	case l != nil:
		return l.report()
	case closed:
		return adapter.Status{Err: adapter.ErrClosed}
	}
	return adapter.Status{Err: errNotStarted}
}

// OnStatus implements [adapter.StatusReporter].
func (b *Backend) OnStatus(fn func(adapter.Status)) (remove func()) { return b.feed.Watch(fn) }

// Stats implements [adapter.Backend].
func (b *Backend) Stats() adapter.Stats {
	b.mu.Lock()
	started := b.started
	b.mu.Unlock()
	if !started {
		return adapter.Stats{}
	}
	return adapter.Stats{
		Connected:  b.link.isUp(),
		Published:  b.publisher.published.Load(),
		Received:   b.received.Load(),
		Dropped:    b.publisher.dropped.Load(),
		Malformed:  b.malformed.total.Load(),
		Lost:       b.lost.Load(),
		Reconnects: b.link.reconnectCount(),
	}
}

// Close implements [adapter.Backend]. It returns the error of ctx if that
// ended before all was sent. A Redis that hangs can hold it up for a time-out
// of the client more.
func (b *Backend) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed || !b.started {
		started := b.started
		b.closed = true
		b.mu.Unlock()
		if !started {
			b.feed.End(adapter.Status{Err: adapter.ErrClosed})
		}
		return nil
	}
	b.closed = true
	var open []adapter.Adapter
	for name, n := range b.namespaces {
		if name == n.subscriptions()[0].name {
			open = append(open, n.adapter())
		}
	}
	b.mu.Unlock()

	var errs []error
	for _, n := range open {
		errs = append(errs, n.Close())
	}
	b.publisher.finish()
	select {
	case <-b.publisher.done:
	case <-ctx.Done():
		errs = append(errs, ctx.Err())
	}
	b.cancel()
	if b.owned {
		// Interrupts what waits for Redis.
		errs = append(errs, b.client.Close())
	}
	<-b.publisher.done
	<-b.sub.ended()
	if b.streams != nil {
		b.streams.wait()
	}
	b.link.end()
	return errors.Join(errs...)
}
