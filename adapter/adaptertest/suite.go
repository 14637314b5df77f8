package adaptertest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// patience is how long the suite waits for what must come. A back-end that
// works never comes near it.
const patience = 10 * time.Second

// Abilities says what a back-end cannot do, because its protocol has no place
// for it. With the zero value it can do everything.
type Abilities struct {
	NoFlags             bool // flags stay on the node
	NoBroadcastWithAck  bool
	NoFetchSockets      bool
	NoRooms             bool
	NoServerSideEmit    bool
	NoServerSideAnswers bool
	NoServerCount       bool
}

// Run tests a back-end, with clusters of three nodes. For each of its tests it
// calls newCluster once, which returns a function that makes back-ends of one
// cluster, not yet started, separate from all other clusters. The suite closes
// what it starts.
func Run(t *testing.T, newCluster func(*testing.T) func() adapter.Backend, cannot Abilities) {
	tests := []struct {
		name    string
		without bool
		test    func(*testing.T, *fixture)
	}{
		{"Selectors", false, testSelectors},
		{"LocalSelector", false, testLocalSelector},
		{"Packets", false, testPackets},
		{"Flags", cannot.NoFlags, testFlags},
		{"Order", false, testOrder},
		{"AddAndDelSockets", false, testAddAndDelSockets},
		{"DisconnectSockets", false, testDisconnectSockets},
		{"FetchSockets", cannot.NoFetchSockets, testFetchSockets},
		{"Rooms", cannot.NoRooms, testRooms},
		{"BroadcastWithAck", cannot.NoBroadcastWithAck, testBroadcastWithAck},
		{"BroadcastWithAckPartial", cannot.NoBroadcastWithAck, testBroadcastWithAckPartial},
		{"ServerSideEmit", cannot.NoServerSideEmit, testServerSideEmit},
		{"ServerSideAnswers", cannot.NoServerSideEmit || cannot.NoServerSideAnswers, testServerSideAnswers},
		{"LateAnswers", false, testLateAnswers},
		{"NodeLeaves", cannot.NoServerCount, testNodeLeaves},
		{"AfterClose", false, testAfterClose},
		{"Namespaces", false, testNamespaces},
	}
	for _, tt := range tests {
		if tt.without {
			t.Logf("%s is not tested: the back-end cannot", tt.name)
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			newBackend := newCluster(t)
			tt.test(t, newFixture(t, func(string) adapter.Backend { return newBackend() }, cannot))
		})
	}
}

// fixture is a cluster of three nodes. Each has the sockets a<i> and b<i>, of
// which both are in the room "both" and the first is in the room "a".
type fixture struct {
	t       *testing.T
	cannot  Abilities
	nodes   []*node
	sockets map[string]*Socket
	markers int
	asked   int
	made    sync.Map // the answers that were made up
}

// node is a member of the cluster, with its adapter for the namespace "/".
type node struct {
	adapter.Adapter
	id      string
	host    *Host
	backend adapter.Backend
	killed  bool
}

// NodeID implements [adapter.Node].
func (n *node) NodeID() string { return n.id }

// Logger implements [adapter.Node].
func (n *node) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

var lastNode atomic.Uint64

func newFixture(t *testing.T, newBackend func(nodeID string) adapter.Backend, cannot Abilities) *fixture {
	t.Helper()
	f := &fixture{t: t, cannot: cannot, sockets: make(map[string]*Socket)}
	for range 3 {
		n := &node{id: fmt.Sprintf("node%d", lastNode.Add(1))}
		n.backend = newBackend(n.id)
		if err := n.backend.Start(n); err != nil {
			t.Fatalf("Start: %v", err)
		}
		t.Cleanup(func() { f.close(n) })
		n.host, n.Adapter = f.open(n, "/")
		f.nodes = append(f.nodes, n)
	}
	f.awaitReady()
	for i, n := range f.nodes {
		f.connect(n, fmt.Sprintf("a%d", i), "both", "a")
		f.connect(n, fmt.Sprintf("b%d", i), "both")
	}
	return f
}

func (f *fixture) open(n *node, namespace string) (*Host, adapter.Adapter) {
	f.t.Helper()
	host := NewHost(namespace)
	a, err := n.backend.Open(host)
	if err != nil {
		f.t.Fatalf("Open: %v", err)
	}
	host.Use(a)
	return host, a
}

func (f *fixture) close(n *node) {
	wait := patience
	if n.killed {
		wait = time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := n.backend.Close(ctx); err != nil && !n.killed {
		f.t.Errorf("Close: %v", err)
	}
	n.host.Wait()
}

func (f *fixture) awaitReady() {
	f.t.Helper()
	for _, n := range f.nodes {
		if err := n.backend.Ready(f.context()); err != nil {
			f.t.Fatalf("Ready: %v", err)
		}
	}
	if !f.cannot.NoServerCount {
		f.awaitCount(len(f.nodes), f.nodes...)
	}
}

func (f *fixture) awaitCount(want int, nodes ...*node) {
	f.t.Helper()
	for _, n := range nodes {
		f.await(fmt.Sprintf("%s counts %d servers", n.id, want), func() bool {
			got, err := n.ServerCount(f.context())
			return err == nil && got == want
		})
	}
}

// connect adds a socket to the index of a node.
func (f *fixture) connect(n *node, id string, rooms ...string) *Socket {
	f.t.Helper()
	s := NewSocket(id)
	if !n.Add(s, append([]string{id}, rooms...)...) {
		f.t.Fatalf("Add(%s) = false", id)
	}
	f.sockets[id] = s
	return s
}

func (f *fixture) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.t.Cleanup(cancel)
	return ctx
}

// await polls until a condition holds.
func (f *fixture) await(what string, condition func() bool) {
	f.t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			f.t.Fatalf("timed out waiting until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// settle returns when everything that a node has published so far has been
// delivered to the connected sockets: it sends one event more to all and waits
// for it, because the order is kept.
func (f *fixture) settle(n *node) {
	f.t.Helper()
	f.markers++
	marker := event("marker", f.markers)
	f.must(n.Broadcast(marker, adapter.Selector{}, adapter.Flags{}))
	for id, s := range f.sockets {
		if gone, _ := s.Disconnected(); gone {
			continue
		}
		f.await(id+" receives a marker", func() bool {
			return slices.ContainsFunc(s.Received(), func(d Delivery) bool { return samePacket(d.Packet, marker) })
		})
	}
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// received returns the events that a socket has, without markers.
func (f *fixture) received(id string) []*adapter.Packet {
	var events []*adapter.Packet
	for _, d := range f.sockets[id].Received() {
		if name, _ := decode(d.Packet)[0].(string); name != "marker" {
			events = append(events, d.Packet)
		}
	}
	return events
}

// event returns a packet without attachments.
func event(args ...any) *adapter.Packet {
	b, err := json.Marshal(args)
	if err != nil {
		panic(err) // only for arguments that the suite does not use
	}
	return &adapter.Packet{Args: b}
}

// decode returns the arguments of a packet: at least one, nil if it is not
// understood.
func decode(p *adapter.Packet) []any {
	var args []any
	if err := json.Unmarshal(p.Args, &args); err != nil || len(args) == 0 {
		return []any{nil}
	}
	return args
}

// samePacket compares what packets mean: a bus may write numbers and spaces in
// another way.
func samePacket(a, b *adapter.Packet) bool {
	return reflect.DeepEqual(decode(a), decode(b)) &&
		slices.EqualFunc(a.Attachments, b.Attachments, slices.Equal[[]byte])
}

// firstStrings returns the first argument of each packet, sorted.
func firstStrings(packets []*adapter.Packet) []string {
	var got []string
	for _, p := range packets {
		got = append(got, fmt.Sprint(decode(p)[0]))
	}
	slices.Sort(got)
	return got
}
