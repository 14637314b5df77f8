package adaptertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
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
	packets []*adapter.Packet // that have come, over all connections
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
	sent := g.socket.Received()
	for _, d := range sent[:max(0, len(sent)-lost)] {
		g.take(d.Packet)
	}
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

func testOffsets(t *testing.T, f *recovery) {
	w := f.guest("witness")
	f.emit(adapter.Selector{}, "one")
	f.emit(adapter.Selector{}, "two", 2, "text")
	f.must(w.node.Broadcast(event("volatile"), adapter.Selector{Local: true}, adapter.Flags{Volatile: true}))
	f.emit(adapter.Selector{Rooms: []string{"witness"}}, "three", []any{1})
	f.witness("witness", 4)
	w.socket.Answer(func(*adapter.Packet) *adapter.Packet { return event("answer") })
	if _, err := w.node.BroadcastWithAck(f.context(), event("ask"), adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Error(err)
	}
	seen := make(map[string]bool)
	for _, d := range w.socket.Received() {
		args := decode(d.Packet)
		want := map[any]int{"one": 2, "two": 4, "volatile": 1, "three": 3, "ask": 1}[args[0]]
		if len(args) != want {
			t.Errorf("delivered %s", d.Packet.Args)
			continue
		}
		if offset, ok := offsetOf(d.Packet); ok {
			if seen[offset] || offset == "" || offset == "text" {
				t.Errorf("%s does not end with a new offset", d.Packet.Args)
			}
			seen[offset] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d offsets", len(seen))
	}
}

func testMissed(t *testing.T, f *recovery) {
	f.guest("witness")
	g := f.guest("guest", "room", "both")
	f.emit(adapter.Selector{}, "before")
	f.witness("witness", 1)
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	id, many := []string{"guest"}, make([]string, 20)
	for i := range many {
		many[i] = fmt.Sprint("none", i)
	}
	f.emit(adapter.Selector{}, "all")
	f.emit(adapter.Selector{Rooms: []string{"room"}}, "room")
	f.emit(adapter.Selector{Rooms: []string{"other"}}, "!other room")
	f.emit(adapter.Selector{Rooms: []string{"other", "both"}, Except: many}, "one of the rooms")
	f.emit(adapter.Selector{Rooms: append(slices.Clone(many), "room")}, "one of many")
	f.emit(adapter.Selector{Rooms: id}, "id")
	f.emit(adapter.Selector{Rooms: []string{"witness"}}, "!other id")
	f.emit(adapter.Selector{Except: id}, "!all but the id")
	f.emit(adapter.Selector{Except: []string{"other", "room"}}, "!all but the room")
	f.emit(adapter.Selector{Rooms: []string{"room"}, Except: []string{"both"}}, "!room but a room")
	f.emit(adapter.Selector{Except: []string{"other"}}, "all but another room")
	binary := &adapter.Packet{Args: []byte(`["binary",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 0}}}
	f.must(f.next().Broadcast(binary, adapter.Selector{}, adapter.Flags{}))
	for _, n := range f.nodes {
		f.must(n.Broadcast(event("!volatile"), adapter.Selector{}, adapter.Flags{Volatile: true}))
	}
	f.emit(adapter.Selector{}, "last")
	f.await("witness has the last", func() bool {
		return slices.ContainsFunc(f.sockets["witness"].Received(), func(d Delivery) bool { return decode(d.Packet)[0] == "last" })
	})
	f.must(g.restore())
	g.node = nil // a marker after all that
	f.emit(adapter.Selector{Rooms: []string{"both"}}, "after")
	f.witness("guest", 1)
	g.receive(0)
	want := []string{"before", "all", "room", "one of the rooms", "one of many", "id", "all but another room", "binary", "last", "after"}
	got := g.names()
	if len(f.nodes) > 1 { // nodes overtake each other
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the client has %q, want %q", got, want)
	}
	for _, p := range g.packets {
		if _, ok := offsetOf(p); !ok || strings.HasPrefix(string(p.Args), `["!`) {
			t.Errorf("the client has %s", p.Args)
		}
		if decode(p)[0] == "binary" && !slices.EqualFunc(p.Attachments, binary.Attachments, slices.Equal[[]byte]) {
			t.Errorf("the attachments are %v", p.Attachments)
		}
	}
}

func testInFlight(t *testing.T, f *recovery) {
	f.guest("witness")
	g := f.guest("guest")
	for i := range 10 {
		f.must(f.nodes[0].Broadcast(event(i), adapter.Selector{}, adapter.Flags{}))
	}
	f.witness("witness", 10)
	f.witness("guest", 10)
	g.receive(4)
	g.cut()
	for i := 10; i < 15; i++ {
		f.must(f.nodes[0].Broadcast(event(i), adapter.Selector{}, adapter.Flags{}))
	}
	f.witness("witness", 15)
	f.must(g.restore())
	for i := range 15 {
		if names := g.names(); len(names) != 15 || names[i] != fmt.Sprint(i) {
			t.Fatalf("the client has %q", names)
		}
	}
}

func testTakenOnce(t *testing.T, f *recovery) {
	f.guest("witness")
	g := f.guest("guest")
	f.emit(adapter.Selector{}, "first")
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	n := f.next()
	for range 2 {
		calls := 0
		f.must(n.Adapter.(adapter.Recoverer).RestoreSession(f.context(), g.privateID(), g.offset,
			func(adapter.Session, []*adapter.Packet) bool { calls++; return false }))
		if calls != 1 {
			t.Errorf("admit was called %d times", calls)
		}
	}
	f.must(g.restore())
	if err := g.restore(); !errors.Is(err, adapter.ErrNoSession) {
		t.Errorf("restored a second time: %v", err)
	}
	f.emit(adapter.Selector{}, "second")
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	f.must(g.restore()) // it may be cut off again
	if names := g.names(); !slices.Equal(names, []string{"first", "second"}) {
		t.Errorf("the client has %q", names)
	}
}

func testUnknown(t *testing.T, f *recovery) {
	f.guest("witness")
	f.emit(adapter.Selector{}, "first")
	f.witness("witness", 1)
	stranger := &guest{f: f, id: "stranger"}
	for _, offset := range []string{"", "1", "0-1"} {
		if err := stranger.restore(offset); !errors.Is(err, adapter.ErrNoSession) {
			t.Errorf("restored a session that there is not: %v", err)
		}
	}
	for i, offset := range []string{"zzzzzz", "99999999999999-0", "no offset", "-1", "\x00", strings.Repeat("9", 200)} {
		g := f.guest(fmt.Sprint("guest", i))
		f.emit(adapter.Selector{Rooms: []string{g.id}}, "mine")
		f.witness(g.id, 1)
		g.receive(0)
		g.cut()
		if err := g.restore(offset); !errors.Is(err, adapter.ErrNoSession) {
			t.Errorf("restored from the offset %q: %v", offset, err)
		}
	}
}

func testExpired(t *testing.T, f *recovery) {
	g := f.guest("guest")
	f.emit(adapter.Selector{}, "first")
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	time.Sleep(500 * time.Millisecond)
	if err := g.restore(); !errors.Is(err, adapter.ErrNoSession) {
		t.Errorf("restored after its time: %v", err)
	}
}

func testAllOrNothing(t *testing.T, f *recovery) {
	f.guest("witness")
	g := f.guest("guest")
	f.emit(adapter.Selector{}, "first")
	f.witness("guest", 1)
	g.receive(0)
	g.cut()
	for i := range 50 {
		f.emit(adapter.Selector{}, i)
	}
	f.witness("witness", 51)
	switch err := g.restore(); {
	case err == nil && len(g.packets) != 51:
		t.Errorf("restored with %d of 50 missed packets", len(g.packets)-1)
	case err != nil && !errors.Is(err, adapter.ErrNoSession):
		t.Error(err)
	}
}

// testExactlyOnce cuts clients off again and again, with packets under way,
// while every node sends numbered events.
func testExactlyOnce(t *testing.T, f *recovery) {
	const rounds, guests = 30, 3
	count := 1500
	w := f.guest("witness", "room")
	clients := make([]*guest, guests)
	for i := range clients {
		clients[i] = f.guest(fmt.Sprint("guest", i), "room", fmt.Sprint("own", i))
	}
	var senders sync.WaitGroup
	for i, n := range f.nodes {
		senders.Go(func() {
			for k := range count {
				sel := adapter.Selector{Except: []string{"nobody"}}
				if k%2 == 1 {
					sel.Rooms = []string{"room"}
				}
				if err := n.Broadcast(event(i, k), sel, adapter.Flags{}); err != nil {
					t.Errorf("Broadcast: %v", err)
				}
				if k%10 == 0 {
					time.Sleep(time.Millisecond / 2)
				}
			}
		})
	}
	for range rounds {
		for _, g := range clients {
			before := len(g.packets)
			g.cut()
			g.receive(rand.IntN(20))
			if before == 0 && len(g.packets) == 0 {
				g.receive(0) // something must have come before it can be recovered
			}
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
			f.must(g.restore())
		}
	}
	senders.Wait()
	total := count * len(f.nodes)
	f.witness("witness", total)
	for _, g := range clients {
		f.await("the client has all", func() bool { return len(g.packets)+len(g.socket.Received()) >= total })
		g.receive(0)
	}
	w.receive(0)
	for _, g := range append(clients, w) {
		next := make([]int, len(f.nodes))
		for _, p := range g.packets {
			args := decode(p)
			sender, k := int(args[0].(float64)), int(args[1].(float64))
			if k != next[sender] {
				t.Fatalf("%s has event %d of node %d, want %d", g.id, k, sender, next[sender])
			}
			next[sender]++
		}
		if len(g.packets) != total {
			t.Errorf("%s has %d events", g.id, len(g.packets))
		}
	}
}
