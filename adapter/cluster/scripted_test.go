package cluster_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/cluster"
)

var (
	errBus = errors.New("bus is down")
	packet = &adapter.Packet{Args: []byte(`["event"]`)}
	all    = adapter.Selector{}
)

// scripted is a bus with one node: the test plays the others.
type scripted struct {
	mu        sync.Mutex
	published []cluster.Message
	err       error
	closed    int
}

func (b *scripted) Publish(m *cluster.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.published = append(b.published, *m)
	return nil
}

func (b *scripted) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed++
	return nil
}

// take returns what was published since the last call.
func (b *scripted) take() []cluster.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.published
	b.published = nil
	return taken
}

// one returns the only message that was published since the last call.
func (b *scripted) one(t *testing.T, want cluster.Type) cluster.Message {
	t.Helper()
	got := b.take()
	if len(got) != 1 || got[0].Type != want || got[0].Sender != "me" {
		t.Fatalf("published %+v, want one message of type %d", got, want)
	}
	return got[0]
}

// counted is a scripted bus that counts the nodes.
type counted struct {
	*scripted
	nodes int
	err   error
}

func (b counted) ServerCount(context.Context) (int, error) { return b.nodes, b.err }

// reaching is a bus that counts the nodes, and knows whether it reaches them.
type reaching struct {
	counted

	mu      sync.Mutex
	err     error
	changed chan struct{}
}

func newReaching(nodes int) *reaching {
	return &reaching{counted: counted{&scripted{}, nodes, nil}, changed: make(chan struct{})}
}

func (b *reaching) Reachable() (<-chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed, b.err
}

func (b *reaching) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	close(b.changed)
	b.changed = make(chan struct{})
}

// newNode returns a node named "me" with one client, "client", that answers.
func newNode(t *testing.T, bus cluster.Bus) (*cluster.Adapter, *adaptertest.Host, *adaptertest.Socket) {
	t.Helper()
	host := adaptertest.NewHost("/")
	a := cluster.New(host, bus, cluster.Config{NodeID: "me"})
	host.Use(a)
	s := adaptertest.NewSocket("client")
	s.Answer(func(p *adapter.Packet) *adapter.Packet { return p })
	if !a.Add(s, "room") {
		t.Fatal("Add = false")
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		host.Wait()
	})
	return a, host, s
}

// withPeers returns such a node that has heard of others.
func withPeers(t *testing.T, names ...string) (*cluster.Adapter, *scripted) {
	t.Helper()
	bus := &scripted{}
	a, _, _ := newNode(t, bus)
	for _, name := range names {
		a.Receive(&cluster.Message{Type: cluster.Heartbeat, Sender: name})
	}
	bus.take()
	return a, bus
}

// result is what a call returned.
type result struct {
	n   int
	err error
}

// calls are the calls that ask other nodes. Each returns the number of
// answers, of other nodes and of this one.
var calls = []struct {
	name   string
	answer cluster.Message
	here   int
	call   func(context.Context, *cluster.Adapter) (int, error)
}{
	{"fetch", cluster.Message{Type: cluster.FetchAnswer, Sockets: []adapter.SocketInfo{{ID: "x"}}}, 1,
		func(ctx context.Context, a *cluster.Adapter) (int, error) {
			infos, err := a.FetchSockets(ctx, all)
			return len(infos), err
		}},
	{"server-side emit", cluster.Message{Type: cluster.ServerSideEmitAnswer, Packet: packet}, 0,
		func(ctx context.Context, a *cluster.Adapter) (int, error) {
			packets, err := a.ServerSideEmitWithAck(ctx, packet)
			return len(packets), err
		}},
	{"rooms", cluster.Message{Type: cluster.ListRoomsAnswer}, 1,
		func(ctx context.Context, a *cluster.Adapter) (int, error) {
			rooms, err := a.Rooms(ctx)
			return len(rooms), err
		}},
	{"broadcast", cluster.Message{Type: cluster.BroadcastCount}, 1,
		func(ctx context.Context, a *cluster.Adapter) (int, error) {
			packets, err := a.BroadcastWithAck(ctx, packet, all, adapter.Flags{})
			return len(packets), err
		}},
}

// start makes a call and returns its request, when it waits for answers.
func start(t *testing.T, bus *scripted, call func() (int, error)) (cluster.Message, <-chan result) {
	t.Helper()
	returned := make(chan result, 1)
	go func() {
		n, err := call()
		returned <- result{n, err}
	}()
	synctest.Wait()
	published := bus.take()
	if len(published) != 1 || published[0].RequestID == "" {
		t.Fatalf("published %+v, want one request", published)
	}
	return published[0], returned
}

// answer plays an answer of another node. Each list of rooms has one that is in
// no other: what two nodes have is returned once.
func answer(a *cluster.Adapter, request cluster.Message, sender string, m cluster.Message) {
	if m.Type == cluster.ListRoomsAnswer {
		m.Rooms = []string{rand.Text()}
	}
	m.Sender, m.To, m.RequestID = sender, request.Sender, request.RequestID
	a.Receive(&m)
	synctest.Wait()
}

func waiting(t *testing.T, returned <-chan result) {
	t.Helper()
	select {
	case r := <-returned:
		t.Fatalf("the call returned %d, %v too early", r.n, r.err)
	default:
	}
}

func check(t *testing.T, got result, n, expected, received int, cause error) {
	t.Helper()
	if got.n != n {
		t.Errorf("%d answers, want %d", got.n, n)
	}
	var missing *adapter.MissingAnswersError
	switch {
	case cause == nil:
		if got.err != nil {
			t.Errorf("error is %v", got.err)
		}
	case !errors.As(got.err, &missing) || !errors.Is(got.err, cause):
		t.Errorf("error is %v, want a MissingAnswersError for %v", got.err, cause)
	case missing.Expected != expected || missing.Received != received:
		t.Errorf("error is %v, want %d of %d", got.err, received, expected)
	}
}
