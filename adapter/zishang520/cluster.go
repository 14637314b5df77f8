package zishang520

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter"
)

// ErrConfig is the error, wrapped with what is wrong, that [New] returns for an
// option that cannot be used.
var ErrConfig = errors.New("zishang520: invalid configuration")

// callTimeout is how long a question to other nodes waits whose caller named
// no time, as in the server's own adapters.
const callTimeout = 5 * time.Second

// Option is a setting of a [Cluster].
type Option func(*Cluster)

// WithLogger sets where the back-end logs changes of its state, and what could
// not be delivered is reported: not for each message of an outage, which Stats
// count. Default: nowhere.
func WithLogger(l *slog.Logger) Option {
	return func(c *Cluster) { c.log = l }
}

// WithEventLimit bounds how many events of other nodes, and changes of rooms,
// wait in each namespace for the listeners of the program. Beyond it they are
// dropped and counted by [Cluster.Dropped]. Default: 1000.
func WithEventLimit(n int) Option {
	return func(c *Cluster) { c.eventLimit = n }
}

// Cluster is one server's place in a cluster: an AdapterConstructor, for
// SetAdapter of that server, which gives each namespace its adapter. Its
// methods may be called concurrently.
type Cluster struct {
	backend    adapter.Backend
	id         string
	log        *slog.Logger
	eventLimit int
	dropped    atomic.Uint64

	mu     sync.Mutex // not held over I/O or listeners
	spaces map[string]*namespace

	work sync.WaitGroup // what runs listeners, and waits for other nodes
}

var _ socket.AdapterConstructor = (*Cluster)(nil)

// New starts a back-end, which then serves one server, and belongs to the
// Cluster. It does no network I/O; an unreachable bus is no error. The error is
// [ErrConfig], or that of a back-end whose configuration is not valid.
func New(b adapter.Backend, opts ...Option) (*Cluster, error) {
	var id [8]byte
	_, _ = rand.Read(id[:])
	c := &Cluster{
		backend:    b,
		id:         hex.EncodeToString(id[:]),
		log:        slog.New(slog.DiscardHandler),
		eventLimit: 1000,
		spaces:     make(map[string]*namespace),
	}
	for _, opt := range opts {
		opt(c)
	}
	switch {
	case b == nil:
		return nil, fmt.Errorf("%w: New: no back-end", ErrConfig)
	case c.log == nil:
		return nil, fmt.Errorf("%w: WithLogger: nil", ErrConfig)
	case c.eventLimit < 1:
		return nil, fmt.Errorf("%w: WithEventLimit: %d, which is not positive", ErrConfig, c.eventLimit)
	}
	if err := b.Start(node{c}); err != nil {
		return nil, err
	}
	return c, nil
}

// node is the server as its back-end sees it.
type node struct{ c *Cluster }

func (n node) NodeID() string       { return n.c.id }
func (n node) Logger() *slog.Logger { return n.c.log }

// New returns the adapter of a namespace. It is for the server to call.
func (c *Cluster) New(nsp socket.Namespace) socket.Adapter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.spaces[nsp.Name()]; n != nil && n.nsp == nsp {
		return n // SetAdapter was called twice
	}
	n := newNamespace(c, nsp)
	c.spaces[nsp.Name()] = n
	return n
}

// Ready blocks until this node hears the others and can reach them, or until
// ctx ends; then the error says what is missing.
func (c *Cluster) Ready(ctx context.Context) error { return c.backend.Ready(ctx) }

// Stats returns the counters of the back-end.
func (c *Cluster) Stats() adapter.Stats { return c.backend.Stats() }

// Dropped returns how many events of other nodes and changes of rooms were
// dropped beyond the bound of [WithEventLimit].
func (c *Cluster) Dropped() uint64 { return c.dropped.Load() }

// Close leaves the cluster: it sends what is queued as far as ctx lets it, ends
// the back-end, and waits for listeners under way until ctx ends, whose error
// it then returns. It is called when the server has been closed.
func (c *Cluster) Close(ctx context.Context) error {
	err := c.backend.Close(ctx)
	ended := make(chan struct{})
	go func() {
		c.work.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// forget takes a namespace out that has been closed. The server may make
// another of that name.
func (c *Cluster) forget(n *namespace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spaces[n.name] == n {
		delete(c.spaces, n.name)
	}
}

// guard runs code of the program, and reports its panic.
func (c *Cluster) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.log.Error("zishang520: panic in a listener", "panic", v)
		}
	}()
	f()
}
