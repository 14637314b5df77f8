package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// queueLimit is how many messages may wait for one namespace of one node.
const queueLimit = 1 << 16

// errCut is the error of a node that counts the others while it is cut off.
var errCut = errors.New("adaptertest: node is cut off")

// Bus connects nodes of one process. Its methods may be called concurrently;
// its fields are set before the first node is started.
//
// A message is delivered by a goroutine of each receiver, in the order in
// which all messages were published, from a queue of at most 65536; beyond
// that it is dropped for this receiver, and counted by its sender.
type Bus struct {
	// Counting makes the bus count nodes, as Redis does. By default nodes know
	// each other by their heartbeats.
	Counting bool

	// Config is that of the adapters; NodeID is ignored.
	Config cluster.Config

	mu            sync.Mutex
	subscriptions map[string][]*subscription // by namespace
	cut           map[string]bool            // by node
	repeating     bool
}

// NewBus returns a bus without nodes.
func NewBus() *Bus {
	return &Bus{
		subscriptions: make(map[string][]*subscription),
		cut:           make(map[string]bool),
	}
}

// Backend returns a back-end for one more node.
func (b *Bus) Backend() adapter.Backend {
	return &backend{bus: b, open: make(map[*subscription]struct{})}
}

// Cut takes a node off the bus, without a word to the others: what it
// publishes and what it would hear is lost. The calls of the node do not fail,
// except that it cannot count the others.
func (b *Bus) Cut(nodeID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut[nodeID] = true
}

// Heal undoes Cut.
func (b *Bus) Heal(nodeID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.cut, nodeID)
}

// RepeatAnswers makes the bus bring every answer to a question twice from then
// on, as one that delivers at least once does. By default it brings it once.
func (b *Bus) RepeatAnswers() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.repeating = true
}

// Inject brings a message to all nodes of a namespace, as if a foreign program
// had published it. It need not be one that a node would publish.
func (b *Bus) Inject(namespace string, m *cluster.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, to := range b.subscriptions[namespace] {
		if !b.cut[to.backend.nodeID] {
			to.queue(m)
		}
	}
}

func (b *Bus) publish(from *subscription, m *cluster.Message) error {
	m = clone(m)
	from.backend.published.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut[from.backend.nodeID] {
		return nil
	}
	times := 1
	if b.repeating && isAnswer(m.Type) {
		times = 2
	}
	for range times {
		for _, to := range b.subscriptions[from.namespace] {
			if !b.cut[to.backend.nodeID] && !to.queue(m) {
				from.backend.dropped.Add(1)
			}
		}
	}
	return nil
}

func isAnswer(t cluster.Type) bool {
	switch t {
	case cluster.BroadcastCount, cluster.BroadcastAnswer, cluster.FetchAnswer, cluster.ListRoomsAnswer, cluster.ServerSideEmitAnswer:
		return true
	}
	return false
}

func (b *Bus) count(by *subscription) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut[by.backend.nodeID] {
		return 0, errCut
	}
	n := 0
	for _, s := range b.subscriptions[by.namespace] {
		if !b.cut[s.backend.nodeID] {
			n++
		}
	}
	return n, nil
}

// clone copies what the publisher may change afterwards. Packets are immutable.
func clone(m *cluster.Message) *cluster.Message {
	c := *m
	c.Selector.Rooms = slices.Clone(m.Selector.Rooms)
	c.Selector.Except = slices.Clone(m.Selector.Except)
	c.Rooms = slices.Clone(m.Rooms)
	c.Sockets = slices.Clone(m.Sockets)
	return &c
}

// subscription is one namespace of one node: a [cluster.Bus]. It owns the
// goroutine that reads its queue.
type subscription struct {
	backend   *backend
	namespace string
	sender    string // what the node calls itself here
	node      *cluster.Adapter

	mu      sync.Mutex
	waiting []*cluster.Message
	closed  bool
	wake    chan struct{}
	reading sync.WaitGroup
}

// counting is a subscription that counts the nodes.
type counting struct{ *subscription }

func (c counting) ServerCount(context.Context) (int, error) {
	return c.backend.bus.count(c.subscription)
}

func (b *Bus) subscribe(owner *backend, host adapter.Host) (*subscription, error) {
	s := &subscription{backend: owner, namespace: host.Namespace(), wake: make(chan struct{}, 1)}
	b.mu.Lock()
	for _, other := range b.subscriptions[s.namespace] {
		if other.backend.nodeID == owner.nodeID {
			b.mu.Unlock()
			return nil, fmt.Errorf("adaptertest: node %q has namespace %q already", owner.nodeID, s.namespace)
		}
	}
	b.subscriptions[s.namespace] = append(b.subscriptions[s.namespace], s)
	b.mu.Unlock()

	config := b.Config
	config.NodeID = adapter.NodeID(host, owner.nodeID)
	s.sender = config.NodeID
	var bus cluster.Bus = s
	if b.Counting {
		bus = counting{s}
	}
	s.node = cluster.New(host, bus, config)
	s.reading.Go(s.read)
	return s, nil
}

// queue reports false if there is no room.
func (s *subscription) queue(m *cluster.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	if len(s.waiting) == queueLimit {
		return false
	}
	s.waiting = append(s.waiting, m)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

func (s *subscription) read() {
	for range s.wake {
		s.mu.Lock()
		batch, closed := s.waiting, s.closed
		s.waiting = nil
		s.mu.Unlock()
		if closed {
			return
		}
		for _, m := range batch {
			if m != nil && m.Sender != s.sender {
				s.backend.received.Add(1)
			}
			s.node.Receive(m)
		}
	}
}

// Publish implements [cluster.Bus].
func (s *subscription) Publish(m *cluster.Message) error { return s.backend.bus.publish(s, m) }

// Close implements [cluster.Bus].
func (s *subscription) Close() error {
	b := s.backend.bus
	b.mu.Lock()
	b.subscriptions[s.namespace] = slices.DeleteFunc(b.subscriptions[s.namespace], func(o *subscription) bool { return o == s })
	b.mu.Unlock()
	s.backend.forget(s)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.wake)
	s.reading.Wait()
	return nil
}
