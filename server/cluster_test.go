package server_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/server"
)

// fleet is three nodes with one client each: "a", "b" and "c", each in a room
// of its name and in "all"; b and c are in "bc" too.
type fleet struct {
	t       *testing.T
	nodes   map[string]*node
	clients map[string]*client
	sockets map[string]*server.Socket
}

func launch(t *testing.T) *fleet {
	t.Helper()
	bus := adaptertest.NewBus()
	f := &fleet{t, make(map[string]*node), make(map[string]*client), make(map[string]*server.Socket)}
	for _, name := range []string{"a", "b", "c"} {
		n := start(t, server.WithAdapter(bus.Backend()), server.WithAckTimeout(patience))
		connected := make(chan *server.Socket, 1)
		n.OnConnection(func(s *server.Socket) { connected <- s })
		f.nodes[name] = n
		f.clients[name], _ = join(t, n)
		s := recv(t, connected)
		s.Join(name, "all")
		if name != "a" {
			s.Join("bc")
		}
		f.sockets[name] = s
	}
	for name, n := range f.nodes {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		must(t, n.Ready(ctx))
		cancel()
		eventually(t, name+" knows the others", func() bool {
			found, err := n.Fetch(t.Context())
			return err == nil && len(found) == 3
		})
	}
	return f
}

// heard proves that exactly these clients got one packet of node a.
func (f *fleet) heard(packet string, names string) {
	f.t.Helper()
	must(f.t, f.nodes["a"].Emit("marker"))
	for name, c := range f.clients {
		if strings.Contains(names, name) {
			c.want(packet)
		}
		c.want(event("marker"))
	}
}

func TestClusterEmit(t *testing.T) {
	f := launch(t)
	a, sa := f.nodes["a"], f.sockets["a"]
	for _, tt := range []struct {
		name   string
		target server.Target
		heard  string
	}{
		{"all", a.Target, "abc"},
		{"room", a.To("bc"), "bc"},
		{"rooms", a.To("bc", "all"), "abc"},
		{"id", a.To(f.sockets["c"].ID()), "c"},
		{"except room", a.Except("bc"), "a"},
		{"except id", a.Except(f.sockets["b"].ID()), "ac"},
		{"local", a.Local(), "a"},
		{"broadcast", sa.Broadcast(), "bc"},
		{"socket to room", sa.To("all"), "bc"},
		{"volatile", a.Volatile(), "abc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.t = t
			must(t, tt.target.Emit("x", []string{"1"}, "\U0001f600"))
			f.heard(event("x", `["1"]`, "\"\U0001f600\""), tt.heard)
			found, err := tt.target.Fetch(t.Context())
			if err != nil || len(found) != len(tt.heard) {
				t.Errorf("Fetch found %d: %v", len(found), err)
			}
		})
	}
}

func TestClusterEmitKeepsOrder(t *testing.T) {
	f := launch(t)
	for i := range 300 {
		must(t, f.nodes["a"].To("bc").Emit("x", i))
	}
	for _, name := range []string{"b", "c"} {
		for i := range 300 {
			if got := f.clients[name].next(); got != event("x", strconv.Itoa(i)) {
				t.Fatalf("packet %d is %s", i, got)
			}
		}
	}
}

func TestClusterJoinLeaveDisconnect(t *testing.T) {
	f := launch(t)
	a := f.nodes["a"]
	must(t, a.To("bc").Join("new"))
	must(t, a.To("c").Leave("new"))
	must(t, a.To("new").Emit("x"))
	f.heard(event("x"), "b")
	reasons := make(chan server.Reason, 1)
	f.nodes["b"].OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
	must(t, a.To("new").Disconnect(true))
	if r := recv(t, reasons); r != server.ReasonServerDisconnect {
		t.Errorf("reason %q", r)
	}
	f.clients["b"].want("1")
	f.clients["b"].gone()
}

func TestClusterFetch(t *testing.T) {
	f := launch(t)
	f.sockets["c"].SetData(map[string]string{"user": "carol"})
	found, err := f.nodes["a"].To("c").Fetch(t.Context())
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	r := found[0]
	if r.ID != f.sockets["c"].ID() || strings.Join(r.Rooms, " ") != r.ID+" c all bc" ||
		string(r.Data) != `{"user":"carol"}` || !strings.Contains(string(r.Handshake), `"auth":{}`) {
		t.Errorf("found %s %v %s %s", r.ID, r.Rooms, r.Data, r.Handshake)
	}
}

func TestClusterCallAll(t *testing.T) {
	f := launch(t)
	answer := func(name, value string) {
		c := f.clients[name]
		go func() { c.send("43" + c.ackID("q") + value) }()
	}
	answer("a", "[1]")
	answer("b", "[20]")
	answer("c", "[300]")
	got, err := server.CallAll[int](t.Context(), f.nodes["a"].Target, "q")
	if sum := total(got); err != nil || sum != 321 {
		t.Errorf("got %v, %v", got, err)
	}
	answer("b", "[20]")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	got, err = server.CallAll[int](ctx, f.nodes["a"].To("bc"), "q")
	var missing *server.MissingAnswersError
	if total(got) != 20 || !errors.As(err, &missing) || missing.Received != 1 || missing.Expected != 2 {
		t.Errorf("got %v, %v", got, err)
	}
}

func total(values []int) (sum int) {
	for _, v := range values {
		sum += v
	}
	return sum
}

func TestClusterNodeLeaves(t *testing.T) {
	f := launch(t)
	must(t, f.nodes["b"].Shutdown(t.Context()))
	f.clients["b"].gone()
	delete(f.clients, "b")
	eventually(t, "the others go on without it", func() bool {
		found, err := f.nodes["a"].Fetch(t.Context())
		return err == nil && len(found) == 2
	})
	must(t, f.nodes["a"].To("bc").Emit("x"))
	f.heard(event("x"), "c")
	if err := f.nodes["b"].Emit("x"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Emit on the node that left: %v", err)
	}
}

func TestClusterNamespacesAreApart(t *testing.T) {
	f := launch(t)
	for _, n := range f.nodes {
		n.of(t, "/a")
	}
	for _, c := range f.clients {
		c.join("/a")
	}
	ns := f.nodes["a"].of(t, "/a")
	must(t, ns.Emit("x"))
	for _, c := range f.clients {
		c.want(`2/a,["x"]`)
	}
	f.heard("", "")
}
