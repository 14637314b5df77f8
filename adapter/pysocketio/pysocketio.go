package pysocketio

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// hostPrefix begins the host ids of nodes of Roomspan. Those of Python are 32
// hexadecimal digits.
const hostPrefix = "roomspan-"

// Backend is an [adapter.Backend] in the family of python-socketio. All its
// methods may be called concurrently.
//
// It keeps one connection to listen on, for all namespaces, and needs one more
// to publish.
type Backend struct {
	config config
	conn   *redis.Conn

	// id begins the host ids of this node, which differ by namespace only if
	// the node is in several fleets.
	id string

	emits     bool // the node only emits; constant from Start on
	overheard overheard

	mu         sync.Mutex // not held while messages are handled
	started    bool
	closed     bool
	namespaces map[string]*namespace
}

// New returns a back-end that connects to the Redis of a URL in the form of
// [redis.New]. A URL or an option that is wrong makes Start fail with
// [ErrConfig].
func New(url string, opts ...Option) *Backend {
	c := newConfig(opts)
	return newBackend(c, redis.New(url, c.connection()...))
}

// FromClient returns a back-end over a client of the caller's, as
// [redis.FromClient] does.
func FromClient(client goredis.UniversalClient, opts ...Option) *Backend {
	c := newConfig(opts)
	return newBackend(c, redis.FromClient(client, c.connection()...))
}

func newBackend(c config, under *redis.Backend) *Backend {
	b := &Backend{config: c, id: hostPrefix + rand.Text()[:12], namespaces: make(map[string]*namespace)}
	b.conn = redis.NewConn(under, b.receive)
	return b
}

// Start implements [adapter.Backend]. Its errors wrap [ErrConfig], but for a
// second call.
func (b *Backend) Start(node adapter.Node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.config.validate(); err != nil {
		return err
	}
	if err := b.conn.Start(node); errors.Is(err, redis.ErrConfig) {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	} else if err != nil {
		return err
	}
	b.started = true
	if e, ok := node.(adapter.EmitterNode); ok {
		b.emits = e.EmitsOnly()
	}
	if b.emits {
		b.conn.ListenApart(b.config.answerChannel(b.id), b.config.channel)
		return nil
	}
	b.conn.Listen(b.config.channel, b.config.ownChannel())
	b.conn.ListenApart(b.config.answerChannel(b.id), "")
	return nil
}

// Open implements [adapter.Backend]. A namespace can be opened again after its
// adapter was closed.
func (b *Backend) Open(host adapter.Host) (adapter.Adapter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, adapter.ErrClosed
	case !b.started:
		return nil, errors.New("pysocketio: not started")
	case b.namespaces[host.Namespace()] != nil:
		return nil, fmt.Errorf("pysocketio: namespace %q is open already", host.Namespace())
	}
	n := newNamespace(b, host)
	b.namespaces[n.name] = n
	return n, nil
}

func (b *Backend) namespace(name string) *namespace {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.namespaces[name]
}

func (b *Backend) forget(n *namespace) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.namespaces[n.name] == n {
		delete(b.namespaces, n.name)
	}
}

// Fleet returns the name of the fleet for [adapter.Join].
func (b *Backend) Fleet() string { return "pysocketio " + b.config.channel }

// Ready implements [adapter.Backend].
func (b *Backend) Ready(ctx context.Context) error { return b.conn.Ready(ctx) }

// Status implements [adapter.StatusReporter].
func (b *Backend) Status() adapter.Status { return b.conn.Status() }

// OnStatus implements [adapter.StatusReporter].
func (b *Backend) OnStatus(fn func(adapter.Status)) (remove func()) { return b.conn.OnStatus(fn) }

// Stats implements [adapter.Backend].
func (b *Backend) Stats() adapter.Stats { return b.conn.Stats() }

// Close implements [adapter.Backend]. It returns the error of ctx if that
// ended before all was sent. A Redis that hangs can hold it up for a time-out
// of the client more.
func (b *Backend) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	open := slices.Collect(maps.Values(b.namespaces))
	b.mu.Unlock()
	var errs []error
	for _, n := range open {
		errs = append(errs, n.Close())
	}
	return errors.Join(append(errs, b.conn.Close(ctx))...)
}

// receive is where every message from Redis comes in, in order.
func (b *Backend) receive(channel, payload string) error {
	if len(payload) > b.config.maxMessage {
		return fmt.Errorf("%w: %d bytes", errFormat, len(payload))
	}
	if channel != b.config.channel {
		if strings.HasPrefix(payload, `{"from":"`+b.id) {
			return nil
		}
		return b.receiveOwn([]byte(payload))
	}
	if b.echo(payload) || b.emits && !strings.Contains(payload, b.id) {
		return nil
	}
	text, as := []byte(payload), b.config.layout
	if strings.HasPrefix(payload, pickleStart) {
		if as != layoutPickled {
			return errPickle
		}
		var err error
		if text, err = pickleToJSON(text, b.config.maxMessage); err != nil {
			return err
		}
		as = layoutAll // a pickle tells them apart
	}
	return b.receivePython(text, as)
}

// echo reports whether a message is an event of this node, which comes back to
// it, without reading it: it begins and ends as this node writes them.
func (b *Backend) echo(payload string) bool {
	if !strings.HasPrefix(payload, emitStart) || !strings.HasSuffix(payload, `"}`) {
		return false
	}
	i := strings.LastIndex(payload, hostKey)
	if i < 0 {
		return false
	}
	id := payload[i+len(hostKey) : len(payload)-len(`"}`)]
	return strings.HasPrefix(id, b.id) && !strings.Contains(id, `"`)
}

func (b *Backend) receiveOwn(text []byte) error {
	m, name, err := readOwn(text)
	if err != nil {
		return err
	}
	if n := b.namespace(name); n != nil {
		b.conn.CountReceived()
		return n.handle(func() error { n.Receive(m); return nil })
	}
	return nil
}

// receivePython handles a message in the form of python-socketio.
func (b *Backend) receivePython(text []byte, as layout) error {
	m, err := readMessage(text, as)
	if err != nil {
		return err
	}
	own := strings.HasPrefix(m.HostID, b.id)
	if own != (m.Method == methodCallback) || b.emits && !own {
		// A callback goes to the host that it names; all else comes from it.
		return nil
	}
	n := b.namespace(m.Namespace)
	if n == nil {
		return nil
	}
	b.conn.CountReceived()
	return n.handle(func() error { return n.receivePython(m) })
}
