package cluster

import (
	"context"
	"crypto/rand"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// Config says how an [Adapter] behaves. A zero field stands for its default.
type Config struct {
	// NodeID is the sender id of the adapter: unique among all that share the
	// namespace on the bus. A back-end sets it to what it puts on the wire,
	// which [adapter.NodeID] returns; the default is random.
	NodeID string

	// HeartbeatInterval is how often a node says that it is alive, by default
	// every 5 seconds. HeartbeatTimeout is after how long a silence it counts
	// as dead, by default 10 seconds. A bus that is a [Counter] needs neither.
	HeartbeatInterval time.Duration
	HeartbeatTimeout  time.Duration

	// Uncounted says that a [Counter] does not count this node, since it hears
	// nothing but answers.
	Uncounted bool

	// RequestTimeout is the deadline of a call whose context has none, and of
	// a request that names none: by default 5 seconds.
	RequestTimeout time.Duration
}

func (c Config) withDefaults(host adapter.Host) Config {
	if c.NodeID == "" {
		c.NodeID = adapter.NodeID(host, rand.Text())
	}
	if c.HeartbeatInterval <= 0 {
		c.HeartbeatInterval = 5 * time.Second
	}
	if c.HeartbeatTimeout <= 0 {
		c.HeartbeatTimeout = 10 * time.Second
	}
	if c.RequestTimeout <= 0 {
		c.RequestTimeout = 5 * time.Second
	}
	return c
}

// Adapter is the [adapter.Adapter] of a namespace in a cluster: the index of
// this node's rooms, and a bus to the other nodes. What it is asked for takes
// effect on this node first, and is published then.
//
// Calls that ask other nodes return what has come and a
// *[adapter.MissingAnswersError] when their context ends, when the adapter is
// closed, or, when the question could not be published or the bus is a
// [Reacher] that lost the other nodes, as soon as this node has answered. When the bus fails to count the nodes, they wait until the
// context ends. The error then expects one answer more than came. A node that
// leaves or dies is no longer waited for, if heartbeats tell. With a context
// that has ended these calls do nothing and return its error.
//
// After Close it behaves as [adapter.Local] does.
//
// Lock order: askAnswers.mu, sending, then Adapter.mu, then request.mu; each may
// be taken under the locks of the index, and none is held when the index or the
// Host is called.
type Adapter struct {
	*adapter.Local
	host    adapter.Host
	bus     Bus
	counter Counter // nil if nodes are known by their heartbeats
	reacher Reacher // nil if the bus does not know
	config  Config

	// idPrefix and lastID make ids of requests.
	idPrefix string
	lastID   atomic.Uint64

	// sending is held for reading while a message is handed to the bus, so
	// that nothing is published after Goodbye.
	sending sync.RWMutex
	closed  bool

	mu      sync.Mutex
	pending map[string]*request
	peers   map[string]time.Time // when each was last heard; nil after Close

	stop      chan struct{} // closed by Close; ends the heartbeats
	beating   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

var _ adapter.Adapter = (*Adapter)(nil)

// New returns the adapter of a namespace over a bus, which it owns from then
// on: Close closes it. The bus may be asked to publish before New returns.
// Without a [Counter], New starts one goroutine, which Close ends.
func New(host adapter.Host, bus Bus, cfg Config) *Adapter {
	a := &Adapter{
		Local:    adapter.NewLocal(host),
		host:     host,
		bus:      bus,
		config:   cfg.withDefaults(host),
		idPrefix: rand.Text()[:8] + "-",
		pending:  make(map[string]*request),
		peers:    make(map[string]time.Time),
		stop:     make(chan struct{}),
	}
	a.counter, _ = bus.(Counter)
	a.reacher, _ = bus.(Reacher)
	if a.counter == nil {
		// A lost greeting is made good by the next heartbeat.
		_ = a.publish(&Message{Type: Hello})
		a.beating.Go(a.beat)
	}
	return a
}

// publish hands a message to the bus, and fails after Close.
func (a *Adapter) publish(m *Message) error {
	a.sending.RLock()
	defer a.sending.RUnlock()
	if a.closed {
		return adapter.ErrClosed
	}
	m.Sender = a.config.NodeID
	return a.bus.Publish(m)
}

// Receive handles a message of another node. The reader of the bus calls it
// for one message after the other, in their order. It does not block: it
// queues to clients, and hands events and answers over.
//
// It ignores what does not concern this node: its own messages, answers to
// others or to requests that have ended, and what it does not understand.
// Receive after Close does nothing.
func (a *Adapter) Receive(m *Message) {
	if m == nil || m.Sender == a.config.NodeID {
		return
	}
	a.heard(m)
	if !adapter.Hears(a.host, m.Sender) && a.receiveElsewhere(m) {
		return
	}
	switch m.Type {
	case Broadcast:
		a.receiveBroadcast(m)
	case AddSockets:
		_ = a.Local.AddSockets(m.Selector, m.Rooms)
	case DelSockets:
		_ = a.Local.DelSockets(m.Selector, m.Rooms)
	case DisconnectSockets:
		_ = a.Local.DisconnectSockets(m.Selector, m.CloseConn)
	case FetchSockets:
		a.receiveFetch(m)
	case ListRooms:
		a.receiveListRooms(m)
	case ServerSideEmit:
		a.receiveServerSideEmit(m)
	case BroadcastCount, BroadcastAnswer, FetchAnswer, ListRoomsAnswer, ServerSideEmitAnswer:
		a.receiveAnswer(m)
	}
}

// ServerCount implements [adapter.Adapter].
func (a *Adapter) ServerCount(ctx context.Context) (int, error) {
	if _, err := a.Local.ServerCount(ctx); err != nil {
		return 0, err
	}
	if a.counter != nil {
		return a.counter.ServerCount(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return 1 + len(a.peers), nil
}

// Close says goodbye where nodes know each other by their heartbeats, fails
// the calls under way with [adapter.ErrClosed], closes the bus, and returns
// when the goroutine of the adapter has ended. Its error is that of the bus.
// Further calls return the same.
func (a *Adapter) Close() error {
	a.closeOnce.Do(func() {
		_ = a.Local.Close() // never fails
		a.sending.Lock()
		a.closed = true
		a.sending.Unlock()
		if a.counter == nil {
			// The others find out by themselves if this is lost.
			_ = a.bus.Publish(&Message{Type: Goodbye, Sender: a.config.NodeID})
		}
		close(a.stop)
		a.beating.Wait()
		for _, r := range a.abandon() {
			r.fail(adapter.ErrClosed)
		}
		a.closeErr = a.bus.Close()
	})
	return a.closeErr
}

// newID returns an id for a request.
func (a *Adapter) newID() string {
	return a.idPrefix + strconv.FormatUint(a.lastID.Add(1), 36)
}
