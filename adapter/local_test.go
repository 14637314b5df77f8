package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

func newLocal() (*adapter.Local, *adaptertest.Host) {
	host := adaptertest.NewHost("/")
	l := adapter.NewLocal(host)
	host.Use(l)
	return l, host
}

func add(t testing.TB, l *adapter.Local, id string, rooms ...string) *adaptertest.Socket {
	t.Helper()
	s := adaptertest.NewSocket(id)
	if !l.Add(s, rooms...) {
		t.Fatalf("Add(%s) = false", id)
	}
	return s
}

func ids(sockets iter.Seq[adapter.Socket]) []string {
	var got []string
	for s := range sockets {
		got = append(got, s.ID())
	}
	slices.Sort(got)
	return got
}

func TestSockets(t *testing.T) {
	l, _ := newLocal()
	add(t, l, "1", "a", "b", "1")
	add(t, l, "2", "b", "c")
	add(t, l, "3", "1")
	add(t, l, "4")
	long := []string{"a", "b", "2", "1", "a"}
	for i := range 20 {
		long = append(long, fmt.Sprint("none", i))
	}
	tests := []struct {
		name          string
		rooms, except []string
		want          []string
		wanted        bool
	}{
		{"all", nil, nil, []string{"1", "2", "3", "4"}, true},
		{"room", []string{"a"}, nil, []string{"1"}, true},
		{"overlap", []string{"a", "b", "c"}, nil, []string{"1", "2"}, true},
		{"same room twice", []string{"b", "b"}, nil, []string{"1", "2"}, true},
		{"id with a room of its name", []string{"1"}, nil, []string{"1", "3"}, true},
		{"id and its rooms", []string{"b", "2"}, nil, []string{"1", "2"}, true},
		{"long", long, nil, []string{"1", "2", "3"}, true},
		{"long, none", long[5:], nil, nil, false},
		{"nobody", []string{"z"}, nil, nil, false},
		{"empty name", []string{""}, nil, nil, false},
		{"except room", nil, []string{"b"}, []string{"3", "4"}, true},
		{"except id also takes who joined it", nil, []string{"1"}, []string{"2", "4"}, true},
		{"except unknown", []string{"a"}, []string{"z"}, []string{"1"}, true},
		{"except long", nil, long, []string{"4"}, true},
		{"all excepted", []string{"4"}, []string{"4"}, nil, true},
		{"long except id", long, []string{"1"}, []string{"2"}, true},
	}
	for _, tt := range tests {
		sel := adapter.Selector{Rooms: tt.rooms, Except: tt.except}
		if got := ids(l.Sockets(sel)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if got := l.Wanted(sel); got != tt.wanted {
			t.Errorf("%s: Wanted = %v, want %v", tt.name, got, tt.wanted)
		}
	}
}

// TestSocketsStops also holds that no lock is left behind: a later Add would
// wait for ever.
func TestSocketsStops(t *testing.T) {
	l, _ := newLocal()
	add(t, l, "1", "a", "b")
	add(t, l, "2", "a", "b")
	for _, rooms := range [][]string{nil, {"a"}, {"1", "a"}, {"a", "b", "c", "d", "e", "f", "g", "h", "1"}} {
		n := 0
		for range l.Sockets(adapter.Selector{Rooms: rooms}) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%q: %d sockets before the break", rooms, n)
		}
		func() {
			defer func() { _ = recover() }()
			for range l.Sockets(adapter.Selector{Rooms: rooms}) {
				panic("consumer")
			}
		}()
	}
	add(t, l, "3", "a", "b", "1")
}

func TestMembership(t *testing.T) {
	l, _ := newLocal()
	s := adaptertest.NewSocket("id")
	rooms := func() []string { return s.Membership().Rooms() }
	check := func(step string, want ...string) {
		t.Helper()
		if got := rooms(); !slices.Equal(got, want) {
			t.Errorf("%s: rooms are %q, want %q", step, got, want)
		}
	}
	check("unknown")
	l.Del(s, "a")
	l.Add(s)
	check("no rooms", "id")
	l.Add(s, "b", "a", "b", "id")
	check("joined", "id", "b", "a")
	l.Del(s, "id", "b", "z")
	check("left", "id", "a")
	l.Add(s, "b")
	check("again", "id", "a", "b")
	if l.HasRoom("z") || !l.HasRoom("id") || !l.HasRoom("b") {
		t.Error("HasRoom is wrong")
	}
	if n := l.RoomCount(); n != 2 {
		t.Errorf("%d rooms", n)
	}
	if got, ok := l.Lookup("id"); !ok || got != adapter.Socket(s) {
		t.Errorf("Lookup = %v, %v", got, ok)
	}
	l.DelAll(s)
	check("gone")
	if l.Add(s, "c") {
		t.Error("Add after DelAll = true")
	}
	l.DelAll(s)
	check("gone for good")
	if l.HasRoom("id") || l.HasRoom("a") || l.HasRoom("c") || l.Wanted(adapter.Selector{}) || l.RoomCount() != 0 {
		t.Error("the index remembers a socket that is gone")
	}
	if _, ok := l.Lookup("id"); ok {
		t.Error("Lookup finds a socket that is gone")
	}
}

func TestDelAllBeforeAdd(t *testing.T) {
	l, _ := newLocal()
	s := adaptertest.NewSocket("id")
	l.DelAll(s)
	if l.Add(s) || l.HasRoom("id") {
		t.Error("a socket joins after it is gone")
	}
}

// TestManyMembers lets rooms grow and shrink, in an order that moves members
// to other places.
func TestManyMembers(t *testing.T) {
	l, _ := newLocal()
	const count = 1000
	sockets := make([]*adaptertest.Socket, count)
	for i := range sockets {
		sockets[i] = add(t, l, fmt.Sprint(i), "all", fmt.Sprint("mod", i%7))
	}
	for i, s := range sockets {
		if i%3 == 0 {
			l.Del(s, "all")
		}
	}
	for i, s := range sockets {
		if i%10 != 0 {
			l.DelAll(s)
		}
	}
	var want, wantSeventh []string
	for i := range sockets {
		if i%10 == 0 && i%3 != 0 {
			want = append(want, fmt.Sprint(i))
		}
		if i%10 == 0 && i%7 == 0 {
			wantSeventh = append(wantSeventh, fmt.Sprint(i))
		}
	}
	slices.Sort(want)
	slices.Sort(wantSeventh)
	if got := ids(l.Sockets(adapter.Selector{Rooms: []string{"all"}})); !slices.Equal(got, want) {
		t.Errorf("all: %d sockets, want %d", len(got), len(want))
	}
	if got := ids(l.Sockets(adapter.Selector{Rooms: []string{"mod0"}})); !slices.Equal(got, wantSeventh) {
		t.Errorf("mod0: %q, want %q", got, wantSeventh)
	}
}

func TestLocalCalls(t *testing.T) {
	l, _ := newLocal()
	a, b := add(t, l, "a", "room"), add(t, l, "b", "room", "a")
	ctx := t.Context()

	rooms, err := l.Rooms(ctx)
	if err != nil || !slices.Equal(rooms, []string{"room"}) {
		t.Errorf("Rooms = %q, %v: without those that are named by ids", rooms, err)
	}
	infos, err := l.FetchSockets(ctx, adapter.Selector{Rooms: []string{"room"}, Except: []string{"b"}})
	if err != nil || len(infos) != 1 || !slices.Equal(infos[0].Rooms, []string{"a", "room"}) {
		t.Errorf("FetchSockets = %+v, %v", infos, err)
	}
	if err := l.AddSockets(adapter.Selector{Rooms: []string{"b"}}, []string{"x", "y"}); err != nil {
		t.Error(err)
	}
	if err := l.DelSockets(adapter.Selector{Rooms: []string{"x"}}, []string{"y", "room"}); err != nil {
		t.Error(err)
	}
	if got := b.Membership().Rooms(); !slices.Equal(got, []string{"b", "a", "x"}) {
		t.Errorf("b is in %q", got)
	}
	if err := l.DisconnectSockets(adapter.Selector{Rooms: []string{"b"}}, true); err != nil {
		t.Error(err)
	}
	if gone, conn := b.Disconnected(); !gone || !conn || l.HasRoom("x") {
		t.Errorf("b is disconnected: %v, its connection too: %v", gone, conn)
	}
	if gone, _ := a.Disconnected(); gone {
		t.Error("a is disconnected")
	}
	if n, err := l.ServerCount(ctx); n != 1 || err != nil {
		t.Errorf("ServerCount = %d, %v", n, err)
	}
	if packets, err := l.ServerSideEmitWithAck(ctx, packet); len(packets) != 0 || err != nil {
		t.Errorf("ServerSideEmitWithAck = %v, %v", packets, err)
	}
}

var packet = &adapter.Packet{Args: []byte(`["event"]`)}

func TestMemory(t *testing.T) {
	backend := adapter.Memory()
	if err := backend.Start(nil); err != nil {
		t.Fatal(err)
	}
	first, err := backend.Open(adaptertest.NewHost("/"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := backend.Open(adaptertest.NewHost("/second"))
	if err != nil {
		t.Fatal(err)
	}
	if err := backend.Ready(t.Context()); err != nil || !backend.Stats().Connected {
		t.Errorf("Ready = %v, Stats = %+v", err, backend.Stats())
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	closed := func(a adapter.Adapter) bool {
		return errors.Is(a.Broadcast(packet, adapter.Selector{}, adapter.Flags{}), adapter.ErrClosed)
	}
	if closed(first) || !closed(second) {
		t.Error("closing one namespace does not close that one alone")
	}
	for range 2 {
		if err := backend.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if _, err := backend.Open(adaptertest.NewHost("/")); !errors.Is(err, adapter.ErrClosed) || !closed(first) {
		t.Errorf("Open after Close: %v", err)
	}
	if err := backend.Ready(t.Context()); !errors.Is(err, adapter.ErrClosed) || backend.Stats().Connected {
		t.Errorf("Ready after Close: %v", err)
	}
}

func TestLooksLikeID(t *testing.T) {
	for name, want := range map[string]bool{
		"": false, "AAAAAAAAAAAAAAAAAAAA": true, "az09-_AZaz09-_AZaz09": true, "AAAAAAAAAAAAAAAAAAA": false,
		"AAAAAAAAAAAAAAAAAAAAA": false, "AAAAAAAAAA AAAAAAAAA": false, "éééééééééé": false,
	} {
		if got := adapter.LooksLikeID(name); got != want {
			t.Errorf("LooksLikeID(%q) = %v", name, got)
		}
	}
}
