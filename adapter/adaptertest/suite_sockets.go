package adaptertest

import (
	"slices"
	"testing"

	"github.com/roomspan/roomspan/adapter"
)

func testAddAndDelSockets(t *testing.T, f *fixture) {
	n := f.nodes[0]
	f.must(n.AddSockets(adapter.Selector{Rooms: []string{"a", "b2"}, Except: []string{"a1"}}, []string{"x", "y"}))
	if rooms := f.sockets["a0"].Membership().Rooms(); !slices.Contains(rooms, "y") {
		t.Errorf("a0 is in %q: joining does not act at once on the own node", rooms)
	}
	f.must(n.DelSockets(adapter.Selector{Rooms: []string{"x"}, Except: []string{"b2"}}, []string{"y", "both", "a2"}))
	f.must(n.Broadcast(event("x"), adapter.Selector{Rooms: []string{"x"}}, adapter.Flags{}))
	f.must(n.Broadcast(event("y"), adapter.Selector{Rooms: []string{"y"}}, adapter.Flags{}))
	f.must(n.Broadcast(event("id"), adapter.Selector{Rooms: []string{"a2"}}, adapter.Flags{}))
	f.settle(n)
	want := map[string][]string{"a0": {"x"}, "a2": {"id", "x"}, "b2": {"x", "y"}}
	for id, s := range f.sockets {
		if got := firstStrings(f.received(id)); !slices.Equal(got, want[id]) {
			t.Errorf("%s received %q, want %q", id, got, want[id])
		}
		if rooms := s.Membership().Rooms(); rooms[0] != id {
			t.Errorf("%s is in %q: its own id is not the first", id, rooms)
		}
	}
	rooms := f.sockets["a2"].Membership().Rooms()
	if want := []string{"a2", "a", "x"}; !slices.Equal(rooms, want) {
		t.Errorf("a2 is in %q, want %q", rooms, want)
	}
}

func testDisconnectSockets(t *testing.T, f *fixture) {
	f.must(f.nodes[1].DisconnectSockets(adapter.Selector{Rooms: []string{"b2", "a0"}}, true))
	f.must(f.nodes[1].DisconnectSockets(adapter.Selector{Rooms: []string{"a1"}}, false))
	for id, closed := range map[string]bool{"b2": true, "a0": true, "a1": false} {
		s := f.sockets[id]
		f.await(id+" is disconnected", func() bool { gone, _ := s.Disconnected(); return gone })
		if _, got := s.Disconnected(); got != closed {
			t.Errorf("%s: connection closed: %v, want %v", id, got, closed)
		}
	}
	f.settle(f.nodes[1])
	for _, id := range []string{"a2", "b0", "b1"} {
		if gone, _ := f.sockets[id].Disconnected(); gone {
			t.Errorf("%s is disconnected", id)
		}
	}
	if f.nodes[0].Add(f.sockets["a0"], "again") {
		t.Error("a socket that is gone can join")
	}
}

// testNamespaces holds that equal names in two namespaces have nothing to do
// with each other.
func testNamespaces(t *testing.T, f *fixture) {
	root := f.sockets
	f.sockets = make(map[string]*Socket)
	var admin []*node
	for i, n := range f.nodes {
		other := &node{id: n.id, backend: n.backend}
		other.host, other.Adapter = f.open(n, "/admin")
		t.Cleanup(other.host.Wait)
		admin = append(admin, other)
		f.connect(other, "a"+string(rune('0'+i)), "a")
	}
	all := f.nodes
	f.nodes = admin
	f.awaitReady()

	a := adapter.Selector{Rooms: []string{"a"}}
	f.must(admin[0].Broadcast(event("admin"), a, adapter.Flags{}))
	f.must(admin[0].AddSockets(a, []string{"vip"}))
	f.must(all[0].Broadcast(event("root"), a, adapter.Flags{}))
	f.settle(admin[0])
	inAdmin := f.sockets
	f.sockets = root
	f.settle(all[0])
	for id, s := range inAdmin {
		if got := s.Received(); len(got) != 2 || decode(got[0].Packet)[0] != "admin" {
			t.Errorf("%s of /admin received %d packets, want its own and a marker", id, len(got))
		}
		if rooms := s.Membership().Rooms(); !slices.Contains(rooms, "vip") {
			t.Errorf("%s of /admin is in %q", id, rooms)
		}
		if got := firstStrings(f.received(id)); !slices.Equal(got, []string{"root"}) {
			t.Errorf("%s of / received %q", id, got)
		}
		if rooms := root[id].Membership().Rooms(); slices.Contains(rooms, "vip") {
			t.Errorf("%s of / is in %q", id, rooms)
		}
	}
}
