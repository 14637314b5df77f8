package server_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/roomspan/roomspan/server"
)

// crowd are clients of one node, by name: each is in a room of its name.
type crowd struct {
	t       *testing.T
	n       *node
	clients map[string]*client
	sockets map[string]*server.Socket
}

func gather(t *testing.T, n *node, rooms map[string][]string) *crowd {
	t.Helper()
	g := &crowd{t, n, make(map[string]*client), make(map[string]*server.Socket)}
	connected := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { connected <- s })
	for name, list := range rooms {
		g.clients[name], _ = join(t, n)
		s := recv(t, connected)
		s.Join(list...)
		g.sockets[name] = s
	}
	return g
}

// heard proves that exactly these clients have got one packet, since a marker
// is the next one of all others.
func (g *crowd) heard(packet string, names ...string) {
	g.t.Helper()
	must(g.t, g.n.Emit("marker"))
	for name, c := range g.clients {
		if slices.Contains(names, name) {
			c.want(packet)
		}
		c.want(event("marker"))
	}
}

func TestTargets(t *testing.T) {
	g := gather(t, start(t), map[string][]string{"a": {"r", "s"}, "b": {"r"}, "c": {"s"}, "d": nil})
	a, b := g.sockets["a"], g.sockets["b"]
	for _, tt := range []struct {
		name   string
		target server.Target
		heard  []string
	}{
		{"all", g.n.Target, []string{"a", "b", "c", "d"}},
		{"room", g.n.To("r"), []string{"a", "b"}},
		{"rooms, each once", g.n.To("r", "s").To("r"), []string{"a", "b", "c"}},
		{"nobody", g.n.To("none"), nil},
		{"id", g.n.To(a.ID()), []string{"a"}},
		{"except room", g.n.Except("r"), []string{"c", "d"}},
		{"except in room", g.n.To("r").Except("s"), []string{"b"}},
		{"except id", g.n.To("r").Except(b.ID()), []string{"a"}},
		{"local", g.n.Local(), []string{"a", "b", "c", "d"}},
		{"no compression", g.n.Compress(false).To("s"), []string{"a", "c"}},
		{"socket to room", a.To("r"), []string{"b"}},
		{"broadcast", a.Broadcast(), []string{"b", "c", "d"}},
		{"broadcast except", a.Broadcast().Except("r"), []string{"c", "d"}},
		{"own id excluded", a.To(a.ID()), nil},
		{"volatile", g.n.Volatile().To("r"), []string{"a", "b"}},
		{"volatile socket", a.Volatile(), []string{"a"}},
		{"volatile socket to room", a.Volatile().To("r"), []string{"b"}},
		{"volatile socket except", a.Volatile().Except("r"), []string{"c", "d"}},
		{"compress socket", a.Compress(true), []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.t = t
			must(t, tt.target.Emit("x", 1, "two", nil))
			g.heard(event("x", "1", `"two"`, "null"), tt.heard...)
			found, err := tt.target.Fetch(t.Context())
			if err != nil || len(found) != len(tt.heard) {
				t.Errorf("Fetch found %d sockets, want %d: %v", len(found), len(tt.heard), err)
			}
		})
	}
}

func TestTargetIsImmutable(t *testing.T) {
	g := gather(t, start(t), map[string][]string{"a": {"a"}, "b": {"b"}, "c": {"c"}})
	base := g.n.To("none")
	var wg sync.WaitGroup
	targets := make(map[string]server.Target)
	var mu sync.Mutex
	for _, name := range []string{"a", "b", "c"} {
		wg.Go(func() {
			target := base.To(name).Except("nobody").Volatile().Local().Compress(false)
			mu.Lock()
			defer mu.Unlock()
			targets[name] = target
		})
	}
	wg.Wait()
	for name, target := range targets {
		must(t, target.Emit("x"))
		g.heard(event("x"), name)
	}
	must(t, base.Emit("x"))
	g.heard("", "")
	// The caller's slice is its own.
	rooms := []string{"a"}
	target := g.n.To(rooms...)
	rooms[0] = "b"
	must(t, target.Emit("x"))
	g.heard(event("x"), "a")
}

func TestTargetIsShared(t *testing.T) {
	g := gather(t, start(t), map[string][]string{"a": {"r"}, "b": nil})
	target := g.n.To("r")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				must(t, target.Emit("x"))
				_ = target.Except("r").Emit("never")
			}
		})
	}
	wg.Wait()
	for range 200 {
		g.clients["a"].want(event("x"))
	}
	g.heard("", "")
}

func TestTargetJoinLeaveDisconnect(t *testing.T) {
	g := gather(t, start(t), map[string][]string{"a": {"r"}, "b": {"r"}, "c": nil})
	must(t, g.n.To("r").Join("s", "t"))
	must(t, g.n.To("t").Leave("r", "t"))
	must(t, g.sockets["a"].Volatile().Leave("s"))
	must(t, g.n.To("s").Emit("x"))
	g.heard(event("x"), "b")
	a := g.sockets["a"]
	a.Leave(a.ID()) // not possible
	if rooms := a.Rooms(); !slices.Equal(rooms, []string{a.ID()}) {
		t.Errorf("rooms %q", rooms)
	}
	must(t, g.n.To("s").Disconnect(false))
	g.clients["b"].want("1")
	must(t, g.n.Except(a.ID()).Disconnect(true))
	g.clients["c"].want("1")
	g.clients["c"].gone()
	delete(g.clients, "b")
	delete(g.clients, "c")
	g.heard("", "")
}

func TestEmitErrors(t *testing.T) {
	g := gather(t, start(t), map[string][]string{"a": nil})
	a := g.sockets["a"]
	for _, emit := range []func(string, ...any) error{g.n.Emit, g.n.To("none").Emit, a.Emit, a.Volatile().Emit} {
		if err := emit("disconnect"); !errors.Is(err, server.ErrReservedEvent) {
			t.Errorf("reserved name: %v", err)
		}
		if err := emit("x", func() {}); err == nil {
			t.Error("a function was encoded")
		}
	}
	g.heard("", "")
	if err := g.n.Server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.Emit("x"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("Emit to a socket after Shutdown: %v", err)
	}
}

func TestVolatileIsDroppedWhilePollingRests(t *testing.T) {
	n := start(t)
	connected := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { connected <- s })
	p := poll(t, n)
	p.post("40")
	p.get()
	s := recv(t, connected)
	if err := s.Volatile().Emit("x"); !errors.Is(err, server.ErrVolatileDropped) {
		t.Errorf("Emit: %v", err)
	}
	if _, err := s.Volatile().EmitWithAck(t.Context(), "x"); !errors.Is(err, server.ErrVolatileDropped) {
		t.Errorf("EmitWithAck: %v", err)
	}
	must(t, n.Volatile().Emit("x")) // nobody learns of it
	if got := n.Stats().VolatileDropped; got != 3 {
		t.Errorf("%d counted as dropped", got)
	}
	must(t, s.Emit("kept"))
	if body, _ := p.get(); body != `42["kept"]` {
		t.Errorf("got %q", body)
	}
}

// What one goroutine emits reaches a socket in that order, whichever way it
// was emitted.
func TestEmitsKeepTheirOrder(t *testing.T) {
	n := start(t)
	n.Handle("go", func(e *server.Event) error {
		s := e.Socket()
		s.Join("r")
		for i := range 100 {
			for _, emit := range []func(string, ...any) error{s.Emit, n.Emit, n.To("r").Emit, s.Compress(false).Emit} {
				if err := emit("x", i); err != nil {
					return err
				}
			}
		}
		return e.Ack()
	})
	c, _ := join(t, n)
	c.send(`421["go"]`)
	for i := range 100 {
		for range 4 {
			c.want(event("x", fmt.Sprint(i)))
		}
	}
	c.want("31[]")
}

func TestSocketData(t *testing.T) {
	g := gather(t, start(t), map[string][]string{"a": {"r"}})
	a := g.sockets["a"]
	for _, tt := range []struct {
		value any
		json  string
	}{
		{nil, "{}"},
		{map[string]int{"n": 1}, `{"n":1}`},
		{func() {}, "{}"},
		{panicJSON{}, "{}"},
	} {
		a.SetData(tt.value)
		found, err := g.n.Fetch(t.Context())
		must(t, err)
		if len(found) != 1 || string(found[0].Data) != tt.json || found[0].ID != a.ID() ||
			!slices.Equal(found[0].Rooms, []string{a.ID(), "r"}) || len(found[0].Handshake) < 10 {
			t.Errorf("%T: found %+v", tt.value, found)
		}
	}
}
