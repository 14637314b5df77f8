package cluster_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// maxLine bounds a message, in bytes.
const maxLine = 16 << 20

// A HubBackend is a whole back-end over a bus of which little is asked: a hub on
// TCP that passes each line on to all other connections, after a first empty
// line to say that it hears. Nodes know each other by their heartbeats.
type HubBackend struct {
	addr string
	out  chan []byte // waits to be written, also while the hub is away

	node    adapter.Node
	end     context.CancelFunc
	running sync.WaitGroup

	published, received, dropped, malformed, connects atomic.Uint64

	closed     atomic.Bool
	mu         sync.Mutex // guards what follows; held while a message is handled
	namespaces map[string]*cluster.Adapter
	connected  bool
	changed    chan struct{} // closed when connected has changed
}

// NewHubBackend returns the back-end of one node.
func NewHubBackend(addr string) *HubBackend {
	return &HubBackend{
		addr: addr, out: make(chan []byte, 10_000), end: func() {},
		namespaces: make(map[string]*cluster.Adapter), changed: make(chan struct{}),
	}
}

// Start implements adapter.Backend.
func (b *HubBackend) Start(node adapter.Node) error {
	ctx, end := context.WithCancel(context.Background())
	b.node, b.end = node, end
	b.running.Go(func() { b.run(ctx) })
	return nil
}

// Open implements adapter.Backend. The lock keeps answers to the greeting of the
// new adapter waiting until they find it.
func (b *HubBackend) Open(host adapter.Host) (adapter.Adapter, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return nil, adapter.ErrClosed
	}
	name := host.Namespace()
	b.namespaces[name] = cluster.New(host, &hubBus{b, name}, cluster.Config{NodeID: adapter.NodeID(host, b.node.NodeID())})
	return b.namespaces[name], nil
}

// hubBus is the bus of one namespace: a cluster.Bus, and a cluster.Reacher.
type hubBus struct {
	backend   *HubBackend
	namespace string
}

// hubLine is a message on the wire.
type hubLine struct {
	Namespace string
	Message   *cluster.Message
}

// Publish implements cluster.Bus.
func (n *hubBus) Publish(m *cluster.Message) error {
	line, err := json.Marshal(hubLine{n.namespace, m})
	if err != nil {
		return err
	}
	select {
	case n.backend.out <- append(line, '\n'):
		return nil
	default:
		n.backend.dropped.Add(1)
		return errors.New("hub: the backlog is full")
	}
}

// Reachable implements cluster.Reacher.
func (n *hubBus) Reachable() (<-chan struct{}, error) { return n.backend.reachable() }

// Close implements cluster.Bus. The lock makes it wait for a message that is
// being handled.
func (n *hubBus) Close() error {
	n.backend.mu.Lock()
	defer n.backend.mu.Unlock()
	delete(n.backend.namespaces, n.namespace)
	return nil
}

// run connects again and again, until ctx ends.
func (b *HubBackend) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := b.session(ctx); ctx.Err() == nil {
			b.node.Logger().Warn("hub: connection lost", "error", err)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (b *HubBackend) session(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", b.addr)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			b.receive(lines.Bytes())
		}
	}()
	defer func() {
		_ = conn.Close()
		<-read
		b.setConnected(false)
	}()
	for {
		select {
		case line := <-b.out:
			_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
			if _, err := conn.Write(line); err != nil {
				b.dropped.Add(1)
				return err
			}
			b.published.Add(1)
		case <-read:
			return fmt.Errorf("reading: %w", lines.Err())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *HubBackend) receive(line []byte) {
	if len(line) == 0 {
		b.setConnected(true)
		return
	}
	var in hubLine
	if err := json.Unmarshal(line, &in); err != nil || in.Message == nil {
		b.malformed.Add(1)
		return
	}
	b.received.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.namespaces[in.Namespace]; n != nil {
		n.Receive(in.Message)
	}
}

func (b *HubBackend) setConnected(connected bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if connected {
		b.connects.Add(1)
	}
	b.connected = connected
	close(b.changed)
	b.changed = make(chan struct{})
}

// Ready implements adapter.Backend.
func (b *HubBackend) Ready(ctx context.Context) error {
	for {
		changed, err := b.reachable()
		if err == nil || errors.Is(err, adapter.ErrClosed) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

func (b *HubBackend) reachable() (<-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return b.changed, adapter.ErrClosed
	}
	if !b.connected {
		return b.changed, errors.New("hub: not connected")
	}
	return b.changed, nil
}

// Stats implements adapter.Backend.
func (b *HubBackend) Stats() adapter.Stats {
	_, err := b.reachable()
	return adapter.Stats{
		Connected: err == nil, Published: b.published.Load(), Received: b.received.Load(), Dropped: b.dropped.Load(),
		Malformed: b.malformed.Load(), Reconnects: max(b.connects.Load(), 1) - 1,
	}
}

// Close implements adapter.Backend.
func (b *HubBackend) Close(ctx context.Context) error {
	b.mu.Lock()
	open := slices.Collect(maps.Values(b.namespaces))
	b.mu.Unlock()
	for _, n := range open {
		_ = n.Close() // this bus never fails to close
	}
	for len(b.out) > 0 && b.Stats().Connected && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	b.end()
	b.running.Wait()
	b.closed.Store(true)
	return ctx.Err()
}

// Example connects two nodes by a back-end of one's own.
func Example() {
	hub, err := newHub()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hub.close()
	var nodes []adapter.Adapter
	client := adaptertest.NewSocket("client of the second node")
	for _, id := range []string{"first", "second"} {
		b := NewHubBackend(hub.addr())
		if err := b.Start(hubNode(id)); err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = b.Close(context.Background()) }()
		a, err := b.Open(adaptertest.NewHost("/"))
		if err != nil {
			fmt.Println(err)
			return
		}
		nodes = append(nodes, a)
		if err := b.Ready(context.Background()); err != nil {
			fmt.Println(err)
			return
		}
	}
	nodes[1].Add(client, "news")
	_ = nodes[0].Broadcast(&adapter.Packet{Args: []byte(`["hello"]`)}, adapter.Selector{Rooms: []string{"news"}}, adapter.Flags{})
	for len(client.Received()) == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("%s\n", client.Received()[0].Packet.Args)
	// Output: ["hello"]
}
