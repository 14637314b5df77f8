package adaptertest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// RunRecovery tests a back-end whose adapters are [adapter.Recoverer]s, with
// clusters of so many nodes: sessions are kept by one and restored by another
// if there is another. For each of its tests it calls newCluster once, as
// [Run] does.
func RunRecovery(t *testing.T, newCluster func(*testing.T) func() adapter.Backend, nodes int) {
	usual := adapter.Recovery{MaxDisconnection: time.Hour, MaxPackets: 100_000, MaxBytes: 1 << 30, MaxSessions: 1000}
	brief, small := usual, usual
	brief.MaxDisconnection = 50 * time.Millisecond
	small.MaxPackets = 10
	tests := []struct {
		name   string
		bounds adapter.Recovery
		test   func(*testing.T, *recovery)
	}{
		{"Offsets", usual, testOffsets},
		{"Missed", usual, testMissed},
		{"InFlight", usual, testInFlight},
		{"TakenOnce", usual, testTakenOnce},
		{"Unknown", usual, testUnknown},
		{"Expired", brief, testExpired},
		{"AllOrNothing", small, testAllOrNothing},
		{"ExactlyOnce", usual, testExactlyOnce},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &recovery{fixture: fixture{t: t, sockets: make(map[string]*Socket)}}
			newBackend := newCluster(t)
			for range nodes {
				f.start(newBackend(), tt.bounds)
			}
			for _, n := range f.nodes {
				f.must(n.backend.Ready(f.context()))
			}
			tt.test(t, f)
		})
	}
}

// recovery is a cluster whose clients are cut off and come back.
type recovery struct {
	fixture
	turn int
}

func (f *recovery) start(b adapter.Backend, bounds adapter.Recovery) {
	f.t.Helper()
	n := &node{id: fmt.Sprintf("node%d", lastNode.Add(1)), backend: b, host: NewHost("/")}
	n.host.Recover(bounds)
	f.must(b.Start(n))
	f.t.Cleanup(func() { f.close(n) })
	a, err := b.Open(n.host)
	f.must(err)
	if _, ok := a.(adapter.Recoverer); !ok {
		f.t.Fatalf("%T is no Recoverer", a)
	}
	n.host.Use(a)
	n.Adapter = a
	f.nodes = append(f.nodes, n)
}

// next returns the nodes in turn.
func (f *recovery) next() *node {
	f.turn++
	return f.nodes[f.turn%len(f.nodes)]
}

func (f *recovery) emit(sel adapter.Selector, args ...any) {
	f.t.Helper()
	f.must(f.next().Broadcast(event(args...), sel, adapter.Flags{}))
}

// guest is a client that may be cut off.
type guest struct {
	f       *recovery
	id      string
	rooms   []string
	node    *node
	socket  *Socket
	offset  string            // of the last packet that has come
	packets []*adapter.Packet // that have come, over all connections since it was new
	fresh   bool              // it was not restored once, and is a new one
}

func (f *recovery) guest(id string, rooms ...string) *guest {
	f.t.Helper()
	g := &guest{f: f, id: id, rooms: rooms, node: f.next()}
	g.socket = f.connect(g.node, id, rooms...)
	return g
}

// receive lets the client have what was sent to its socket, but for the last
// few packets, which are lost.
func (g *guest) receive(lost int) {
	sent := g.sent()
	for _, p := range sent[:max(0, len(sent)-lost)] {
		g.take(p)
	}
}

func (g *guest) sent() []*adapter.Packet {
	var packets []*adapter.Packet
	for _, d := range g.socket.Received() {
		packets = append(packets, d.Packet)
	}
	return packets
}

func (g *guest) take(p *adapter.Packet) {
	g.packets = append(g.packets, p)
	if offset, ok := offsetOf(p); ok {
		g.offset = offset
	}
}

// names returns the names of the events that have come.
func (g *guest) names() []string {
	var names []string
	for _, p := range g.packets {
		names = append(names, fmt.Sprint(decode(p)[0]))
	}
	return names
}

// offsetOf returns the offset as a client finds it.
func offsetOf(p *adapter.Packet) (string, bool) {
	args := decode(p)
	offset, ok := args[len(args)-1].(string)
	return offset, ok && len(args) > 1
}

func (g *guest) privateID() string { return "private " + g.id }

// cut ends the connection and keeps the session.
func (g *guest) cut() {
	g.node.Adapter.(adapter.Recoverer).PersistSession(adapter.Session{
		PrivateID: g.privateID(),
		SocketID:  g.id,
		Rooms:     slices.Clone(g.rooms),
		Data:      json.RawMessage(`{"name":"` + g.id + `"}`),
		Value:     g.id,
	})
	g.node.DelAll(g.socket)
	delete(g.f.sockets, g.id)
}

// restore claims the session, by default of the last offset, at another node
// than before if there is one.
func (g *guest) restore(offset ...string) error {
	g.f.t.Helper()
	offset = append(offset, g.offset)
	n := g.f.next()
	admitted := 0
	err := n.Adapter.(adapter.Recoverer).RestoreSession(g.f.context(), g.privateID(), offset[0],
		func(s adapter.Session, missed []*adapter.Packet) bool {
			admitted++
			g.check(s)
			g.node, g.socket = n, NewSocket(s.SocketID)
			for _, p := range missed {
				g.take(p)
			}
			if !n.Add(g.socket, s.Rooms...) {
				g.f.t.Error("Add = false")
			}
			return true
		})
	if want := 1; err != nil && admitted != 0 || err == nil && admitted != want {
		g.f.t.Errorf("admit was called %d times, and the error is %v", admitted, err)
	}
	if err == nil {
		g.f.sockets[g.id] = g.socket
	}
	return err
}

// mustRestore claims a session, which may take a moment until it is kept.
func (g *guest) mustRestore() {
	g.f.t.Helper()
	g.f.await(g.id+" is restored", func() bool { return g.restore() == nil })
}

// restoreOrBegin connects the client as a new one if it is not restored, which
// an adapter may refuse when it is not certain of something.
func (g *guest) restoreOrBegin() (restored bool) {
	g.f.t.Helper()
	for range 20 {
		if g.restore() == nil {
			return true
		}
		time.Sleep(2 * time.Millisecond)
	}
	g.packets, g.offset, g.fresh = nil, "", true
	g.node = g.f.next()
	g.socket = g.f.connect(g.node, g.id, g.rooms...)
	return false
}

func (g *guest) check(s adapter.Session) {
	rooms, want := slices.Sorted(slices.Values(s.Rooms)), slices.Sorted(slices.Values(g.rooms))
	var data any
	if err := json.Unmarshal(s.Data, &data); err != nil || !reflect.DeepEqual(data, map[string]any{"name": g.id}) {
		g.f.t.Errorf("the session has the data %s", s.Data)
	}
	if s.PrivateID != g.privateID() || s.SocketID != g.id || !slices.Equal(rooms, want) ||
		s.Value != nil && s.Value != any(g.id) {
		g.f.t.Errorf("the session is %+v", s)
	}
}

// witness is a socket that is connected all the time: what it has, the others
// have been sent, or missed.
func (f *recovery) witness(name string, count int) {
	f.t.Helper()
	f.await(fmt.Sprintf("%s has %d packets", name, count), func() bool {
		return len(f.sockets[name].Received()) >= count
	})
}
