package adaptertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/roomspan/roomspan/adapter"
)

// errNotStarted is the error of a back-end that is used before Start.
var errNotStarted = errors.New("adaptertest: back-end is not started")

// backend is one node on a [Bus].
type backend struct {
	bus    *Bus
	nodeID string

	published, received, dropped atomic.Uint64

	mu      sync.Mutex
	started bool
	closed  bool
	open    map[*subscription]struct{}
}

// Start implements [adapter.Backend].
func (b *backend) Start(node adapter.Node) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodeID = node.NodeID()
	b.started = true
	return nil
}

// Open implements [adapter.Backend].
func (b *backend) Open(host adapter.Host) (adapter.Adapter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.state(); err != nil {
		return nil, err
	}
	s, err := b.bus.subscribe(b, host)
	if err != nil {
		return nil, err
	}
	b.open[s] = struct{}{}
	return s.node, nil
}

func (b *backend) state() error {
	switch {
	case b.closed:
		return adapter.ErrClosed
	case !b.started:
		return errNotStarted
	default:
		return nil
	}
}

// Ready implements [adapter.Backend]: a node hears the others at once.
func (b *backend) Ready(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state()
}

// Stats implements [adapter.Backend].
func (b *backend) Stats() adapter.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return adapter.Stats{
		Connected: b.state() == nil,
		Published: b.published.Load(),
		Received:  b.received.Load(),
		Dropped:   b.dropped.Load(),
	}
}

// Close implements [adapter.Backend].
func (b *backend) Close(context.Context) error {
	b.mu.Lock()
	b.closed = true
	var open []*subscription
	for s := range b.open {
		open = append(open, s)
	}
	b.mu.Unlock()
	for _, s := range open {
		_ = s.node.Close() // this bus never fails to close
	}
	return nil
}

func (b *backend) forget(s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, s)
}
