package server_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server"
)

func TestServerSideEmit(t *testing.T) {
	f := launch(t)
	got := make(chan string, 10)
	for name, n := range f.nodes {
		server.On(n.ServerSide(), "reload", func(s *server.Socket, key string) error {
			if s != nil {
				t.Error("an event of a node has a socket")
			}
			got <- name + " " + key
			return nil
		})
		n.ServerSide().Handle("raw", func(e *server.Event) error {
			if e.Socket() != nil || e.WantsAck() {
				t.Error("an event of a node that does not ask has a socket, or asks")
			}
			got <- name + " raw"
			return nil
		})
	}
	must(t, f.nodes["a"].ServerSideEmit("nobody"))
	must(t, f.nodes["a"].ServerSideEmit("reload", "x"))
	must(t, f.nodes["a"].ServerSideEmit("raw"))
	var all []string
	for range 4 {
		all = append(all, recv(t, got))
	}
	slices.Sort(all)
	if !slices.Equal(all, []string{"b raw", "b x", "c raw", "c x"}) {
		t.Errorf("handled %q", all)
	}
	for _, reserved := range []string{"connection", "new_namespace", "connect", "disconnect"} {
		if err := f.nodes["a"].ServerSideEmit(reserved); !errors.Is(err, server.ErrReservedEvent) {
			t.Errorf("%s: %v", reserved, err)
		}
	}
	count, err := f.nodes["a"].ServerCount(t.Context())
	if err != nil || count != 3 {
		t.Errorf("%d nodes: %v", count, err)
	}
}

func TestCallServers(t *testing.T) {
	f := launch(t)
	for name, n := range f.nodes {
		server.Reply(n.ServerSide(), "name", func(_ *server.Socket, prefix string) (string, error) { return prefix + name, nil })
		server.Reply(n.ServerSide(), "fails", func(*server.Socket, int) (int, error) {
			if name == "b" {
				panic("of one node")
			}
			return 1, nil
		})
		server.On(n.ServerSide(), "void", func(*server.Socket, struct{}) error { return nil })
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	names, err := server.CallServers[string](ctx, f.nodes["a"].Namespace, "name", "node ")
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"node b", "node c"}) {
		t.Errorf("answers %q: %v", names, err)
	}
	counts, err := server.CallServers[int](ctx, f.nodes["a"].Namespace, "fails", 1)
	var missing *server.MissingAnswersError
	if !errors.As(err, &missing) || missing.Expected != 2 || !slices.Equal(counts, []int{1}) {
		t.Errorf("answers %v: %v", counts, err)
	}
	answers, err := f.nodes["a"].ServerSideEmitWithAck(ctx, "void")
	if err != nil || len(answers) != 2 || answers[0].Len() != 0 {
		t.Errorf("answers %v: %v", answers, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := f.nodes["a"].ServerSideEmitWithAck(short, "unanswered"); !errors.As(err, &missing) || missing.Expected != 2 {
		t.Errorf("unanswered: %v", err)
	}
}

// A handler that blocks must cost the bus nothing, and memory no more than the
// bound.
func TestNoticesBeyondTheLimitAreDropped(t *testing.T) {
	n := start(t, server.WithNoticeLimit(2))
	release := make(chan struct{})
	got := make(chan server.RoomEvent, 10)
	n.OnRoom(func(e server.RoomEvent) {
		got <- e
		<-release
	})
	sockets := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	join(t, n)
	s := recv(t, sockets)
	s.Join("a")
	recv(t, got)
	s.Join("b", "c") // four changes for the two places
	if d := n.Stats().NoticesDropped; d < 3 {
		t.Errorf("%d notices counted as dropped", d)
	}
	close(release)
	recv(t, got)
}

func TestRoomEvents(t *testing.T) {
	n := start(t)
	got := make(chan server.RoomEvent, 20)
	n.OnRoom(func(e server.RoomEvent) { got <- e })
	sockets := make(chan *server.Socket, 2)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	join(t, n)
	a := recv(t, sockets)
	c, _ := join(t, n)
	b := recv(t, sockets)
	a.Join("r", a.ID())
	b.Join("r")
	a.Join("r")
	a.Leave("r")
	a.Leave("r")
	c.conn.Close()
	for _, want := range []server.RoomEvent{
		{adapter.RoomCreated, "r", a.ID()},
		{adapter.RoomJoined, "r", a.ID()},
		{adapter.RoomJoined, "r", b.ID()},
		{adapter.RoomLeft, "r", a.ID()},
		{adapter.RoomLeft, "r", b.ID()},
		{adapter.RoomDeleted, "r", b.ID()},
	} {
		if e := recv(t, got); e != want {
			t.Errorf("told of %v, want %v", e, want)
		}
	}
}

func TestAllRooms(t *testing.T) {
	f := launch(t)
	rooms, err := f.nodes["b"].AllRooms(t.Context())
	slices.Sort(rooms)
	if err != nil || !slices.Equal(rooms, []string{"a", "all", "b", "bc", "c"}) {
		t.Errorf("rooms %q: %v", rooms, err)
	}
}
