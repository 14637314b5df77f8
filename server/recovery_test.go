package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/server"
)

// guest is a client whose state may be recovered.
type guest struct {
	*client
	sid, pid, offset string
}

var recovering = server.WithConnectionStateRecovery(server.Recovery{})

// visit joins the main namespace, as a client does that was there before.
func visit(t testing.TB, n *node, before *guest) *guest {
	t.Helper()
	g := &guest{client: dial(t, n)}
	connect := "40"
	if before != nil {
		connect += fmt.Sprintf(`{"pid":%q,"offset":%q,"token":"t"}`, before.pid, before.offset)
		g.offset = before.offset
	}
	g.send(connect)
	answer := g.next()
	var reply struct{ Sid, Pid string }
	if err := json.Unmarshal([]byte(answer[1:]), &reply); err != nil || answer[0] != '0' || reply.Pid == "" {
		t.Fatalf("answered %q", answer)
	}
	g.sid, g.pid = reply.Sid, reply.Pid
	return g
}

// event returns the arguments of the next event as JSON, without the offset,
// which must be there.
func (g *guest) event() string {
	g.t.Helper()
	p := g.next()
	i, j := strings.IndexByte(p, '['), strings.LastIndexByte(p, ',')
	if i < 0 || j < i || json.Unmarshal([]byte(p[j+1:len(p)-1]), &g.offset) != nil {
		g.t.Fatalf("%q has no offset", p)
	}
	return p[i:j] + "]"
}

func (g *guest) wantEvents(events ...string) {
	g.t.Helper()
	for _, want := range events {
		if got := g.event(); got != want {
			g.t.Fatalf("got event %s, want %s", got, want)
		}
	}
}

// cut breaks the connection, and returns when the server knows.
func (g *guest) cut(n *node) {
	g.t.Helper()
	sockets := n.Stats().Sockets
	_ = g.conn.Close()
	eventually(g.t, "the server knows", func() bool { return n.Stats().Sockets < sockets })
}

func TestRecovery(t *testing.T) {
	n := start(t, recovering)
	type seen struct {
		id        string
		rooms     []string
		data      int
		recovered bool
	}
	connections, admitted := make(chan seen, 10), 0
	n.Use(func(s *server.Socket) error {
		admitted++
		s.SetData(7)
		s.Join("early")
		return nil
	})
	n.OnConnection(func(s *server.Socket) {
		if !s.Recovered() {
			s.Join("late")
		}
		data, _ := server.Data[int](s)
		connections <- seen{s.ID(), s.Rooms(), data, s.Recovered()}
		must(t, s.Emit("welcome", s.Recovered()))
	})
	stay := visit(t, n, nil)
	stay.wantEvents(`["welcome",false]`)
	recv(t, connections)
	g := visit(t, n, nil)
	g.wantEvents(`["welcome",false]`)
	first := recv(t, connections)
	must(t, n.Emit("one", []byte{1}))
	if got := g.event(); got != `["one",{"_placeholder":true,"num":0}]` {
		t.Errorf("got %s", got)
	}
	g.want("b\x01")
	g.cut(n)
	must(t, n.To("early").Emit("two", 2))
	must(t, n.To(g.sid).Emit("three", []byte{3}))
	must(t, n.To(stay.sid).Emit("not for it"))
	must(t, n.Except("late").Emit("nor this"))
	must(t, n.Volatile().Emit("nor that"))
	must(t, n.To("late").Compress(false).Emit("four"))
	back := visit(t, n, g)
	if back.sid != g.sid || back.pid != g.pid {
		t.Errorf("came back as %s, %s, was %s, %s", back.sid, back.pid, g.sid, g.pid)
	}
	back.wantEvents(`["two",2]`, `["three",{"_placeholder":true,"num":0}]`)
	back.want("b\x03")
	back.wantEvents(`["four"]`, `["welcome",true]`)
	second := recv(t, connections)
	if second.id != first.id || !slices.Equal(second.rooms, first.rooms) || second.data != 7 || !second.recovered || first.recovered {
		t.Errorf("was %+v, is %+v", first, second)
	}
	must(t, n.To("late").Emit("five"))
	back.wantEvents(`["five"]`)
	if st := n.Stats(); st.Recovered != 1 || st.NotRecovered != 0 || st.Sockets != 2 || admitted != 2 {
		t.Errorf("%d times through the middleware, %+v", admitted, st)
	}
}

// TestRecoveryOffsets holds what has an offset: all but volatile packets and
// those that ask for an acknowledgement.
func TestRecoveryOffsets(t *testing.T) {
	n := start(t, recovering)
	sockets := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	g := visit(t, n, nil)
	s := recv(t, sockets)
	must(t, s.Emit("a"))
	g.wantEvents(`["a"]`)
	must(t, s.Volatile().Emit("b", "text"))
	g.want(event("b", `"text"`))
	go func() { _, _ = server.Call[int](t.Context(), s, "c") }()
	if p := g.next(); !strings.HasSuffix(p, `["c"]`) {
		t.Errorf("got %s", p)
	}
	go func() { _, _ = server.CallAll[int](t.Context(), n.To(s.ID()), "d") }()
	if p := g.next(); !strings.HasSuffix(p, `["d"]`) {
		t.Errorf("got %s", p)
	}
	must(t, s.Compress(false).Emit("e", []int{1}))
	g.wantEvents(`["e",[1]]`)
	g.cut(n)
	if err := s.Emit("f"); !errors.Is(err, server.ErrDisconnected) {
		t.Errorf("Emit = %v", err)
	}
}

// TestRecoveryDenied are clients that come back as new ones.
func TestRecoveryDenied(t *testing.T) {
	tests := []struct {
		name  string
		leave func(*testing.T, *node, *guest)
	}{
		{"client disconnect", func(t *testing.T, n *node, g *guest) {
			g.send("41")
			eventually(t, "gone", func() bool { return n.Stats().Sockets == 0 })
		}},
		{"server disconnect", func(t *testing.T, n *node, g *guest) {
			must(t, n.Disconnect(false))
			g.want("1")
		}},
		{"server closes", func(t *testing.T, n *node, g *guest) {
			must(t, n.Disconnect(true))
			g.gone()
		}},
		{"parse error", func(t *testing.T, n *node, g *guest) {
			g.send("4x")
			g.gone()
			eventually(t, "gone", func() bool { return n.Stats().Sockets == 0 })
		}},
		{"still there", func(*testing.T, *node, *guest) {}},
		{"unknown id", func(_ *testing.T, n *node, g *guest) { g.cut(n); g.pid += "x" }},
		{"long id", func(_ *testing.T, n *node, g *guest) { g.cut(n); g.pid = strings.Repeat("x", 300) }},
		{"unknown offset", func(_ *testing.T, n *node, g *guest) { g.cut(n); g.offset = "text" }},
		{"taken", func(t *testing.T, n *node, g *guest) {
			g.cut(n)
			if back := visit(t, n, g); back.sid != g.sid {
				t.Error("not recovered")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t, recovering)
			g := visit(t, n, nil)
			must(t, n.Emit("a"))
			g.wantEvents(`["a"]`)
			tt.leave(t, n, g)
			sockets := n.Stats().Sockets
			back := visit(t, n, g)
			if back.sid == g.sid || back.pid == g.pid {
				t.Errorf("came back as %s, %s", back.sid, back.pid)
			}
			must(t, n.Emit("b"))
			back.wantEvents(`["b"]`)
			if st := n.Stats(); st.Sockets != sockets+1 {
				t.Errorf("Stats = %+v", st)
			}
		})
	}
}

// TestRecoveryTime also covers ping time-outs and clients that read no more.
func TestRecoveryTime(t *testing.T) {
	for _, tt := range []struct {
		away time.Duration
		want bool
	}{{119 * time.Second, true}, {121 * time.Second, false}} {
		synctest.Test(t, func(t *testing.T) {
			n := startInBubble(t, recovering)
			reasons := make(chan server.Reason, 2)
			n.OnDisconnect(func(_ *server.Socket, reason server.Reason) { reasons <- reason })
			g := visit(t, n, nil)
			must(t, n.Emit("a"))
			g.wantEvents(`["a"]`)
			time.Sleep(10 * time.Minute)
			g.mute.Store(true)
			if r := <-reasons; r != server.ReasonPingTimeout {
				t.Errorf("disconnected: %s", r)
			}
			must(t, n.Emit("b"))
			time.Sleep(tt.away)
			back := visit(t, n, g)
			if got := back.sid == g.sid; got != tt.want {
				t.Errorf("after %v: recovered: %v", tt.away, got)
			}
			if tt.want {
				back.wantEvents(`["b"]`)
			}
		})
	}
}

func TestRecoveryOfASlowClient(t *testing.T) {
	n := start(t, recovering, server.WithQueueLimit(8, 1<<20))
	g := visit(t, n, nil)
	must(t, n.Emit("a"))
	g.wantEvents(`["a"]`)
	g.cut(n)
	for range 4 {
		must(t, n.Emit("b"))
	}
	back := visit(t, n, g)
	back.wantEvents(`["b"]`, `["b"]`, `["b"]`, `["b"]`)
	back.cut(n)
	for range 5 {
		must(t, n.Emit("c"))
	}
	if again := visit(t, n, back); again.sid == g.sid {
		t.Error("recovered with more than half of what may be queued")
	}
}

// TestRecoveryAwaitsHandlers holds that the functions of OnDisconnect have
// returned before those of OnConnection are called for the same id.
func TestRecoveryAwaitsHandlers(t *testing.T) {
	n := start(t, recovering)
	var mu sync.Mutex
	present := make(map[string]bool)
	block, handling := make(chan struct{}), make(chan struct{})
	n.OnConnection(func(s *server.Socket) {
		mu.Lock()
		defer mu.Unlock()
		if present[s.ID()] {
			t.Error("connected while it was connected")
		}
		present[s.ID()] = true
	})
	n.OnDisconnect(func(s *server.Socket, _ server.Reason) {
		mu.Lock()
		defer mu.Unlock()
		delete(present, s.ID())
	})
	server.On(n, "work", func(*server.Socket, any) error {
		close(handling)
		<-block
		return nil
	})
	g := visit(t, n, nil)
	must(t, n.Emit("a"))
	g.wantEvents(`["a"]`)
	g.send(`42["work",1]`)
	recv(t, handling)
	g.cut(n)
	time.AfterFunc(50*time.Millisecond, func() { close(block) })
	back := visit(t, n, g)
	must(t, n.Emit("b"))
	back.wantEvents(`["b"]`)
	mu.Lock()
	defer mu.Unlock()
	if back.sid != g.sid || !present[back.sid] {
		t.Errorf("recovered: %v, present: %v", back.sid == g.sid, present)
	}
}

func TestRecoveryWithMiddleware(t *testing.T) {
	n := start(t, server.WithConnectionStateRecovery(server.Recovery{RunMiddleware: true}))
	var refuse error
	hook := func() {}
	ids := make(chan string, 10)
	n.Use(func(s *server.Socket) error {
		data, _ := server.Data[string](s)
		ids <- fmt.Sprintf("%s %v %v %q", s.ID(), s.Recovered(), s.Rooms()[1:], data)
		s.SetData("data")
		s.Join("room")
		s.Leave("left")
		hook()
		return refuse
	})
	n.OnConnection(func(s *server.Socket) { s.Join("left") })
	g := visit(t, n, nil)
	if id := recv(t, ids); id != g.sid+` false [] ""` {
		t.Errorf("the middleware saw %s", id)
	}
	must(t, n.Emit("a"))
	g.wantEvents(`["a"]`)
	g.cut(n)
	hook = func() { must(t, n.Emit("b")) }
	back := visit(t, n, g)
	if id := recv(t, ids); id != g.sid+` true [room left] "data"` || back.sid != g.sid {
		t.Errorf("the middleware saw %s", id)
	}
	back.wantEvents(`["b"]`)
	back.cut(n)
	hook, refuse = func() {}, &server.ConnectError{Message: "no"}
	c := dial(t, n)
	c.send(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, back.pid, back.offset))
	c.want(`4{"message":"no"}`)
	recv(t, ids)
	if st := n.Stats(); st.Sockets != 0 {
		t.Errorf("Stats = %+v", st)
	}
}

// TestRecoveryOfChosenIDs holds that nobody is recovered under an id that
// somebody else has chosen meanwhile.
func TestRecoveryOfChosenIDs(t *testing.T) {
	n := start(t, recovering, server.WithIDs(nil, func(_ string, h server.Handshake) (string, error) {
		var auth struct{ Token string }
		_ = json.Unmarshal(h.Auth, &auth)
		return "id" + auth.Token, nil
	}))
	free := make(chan struct{}, 3)
	n.OnDisconnect(func(*server.Socket, server.Reason) { free <- struct{}{} })
	g := visit(t, n, nil)
	must(t, n.Emit("a"))
	g.wantEvents(`["a"]`)
	g.cut(n)
	recv(t, free)
	other := visit(t, n, nil)
	if back := visit(t, n, g); other.sid != "id" || back.sid != "idt" {
		t.Errorf("the ids are %s and %s", other.sid, back.sid)
	}
	other.cut(n) // it has received nothing, and so has no offset
	if back := visit(t, n, other); back.sid != "id" {
		t.Errorf("the id is %s", back.sid)
	}
}

func TestRecoveryOptions(t *testing.T) {
	for _, r := range []server.Recovery{
		{MaxDisconnection: time.Microsecond},
		{MaxPackets: -1},
		{MaxBytes: -1},
		{MaxSessions: -1},
	} {
		var bad *server.OptionError
		if _, err := server.New(server.WithConnectionStateRecovery(r)); !errors.As(err, &bad) || bad.Option != "WithConnectionStateRecovery" {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// TestRecoveryOfChildren is recovery in two namespaces of one client, of which
// one belongs to a parent.
func TestRecoveryOfChildren(t *testing.T) {
	n := start(t, recovering)
	parent, err := n.OfFunc(func(name string, _ server.Handshake) bool { return name == "/child" })
	must(t, err)
	recovered := make(chan bool, 2)
	parent.OnConnection(func(s *server.Socket) { recovered <- s.Recovered() })
	g := visit(t, n, nil)
	g.send("40/child,")
	var child struct{ Sid, Pid string }
	text, _ := strings.CutPrefix(g.next(), "0/child,")
	must(t, json.Unmarshal([]byte(text), &child))
	recv(t, recovered)
	must(t, parent.Emit("a"))
	g.wantEvents(`["a"]`)
	g.cut(n)
	eventually(t, "both are gone", func() bool { return n.Stats().Sockets == 0 })
	must(t, parent.Emit("b"))
	must(t, n.Emit("not for the child"))
	back := dial(t, n)
	back.send(fmt.Sprintf(`40/child,{"pid":%q,"offset":%q}`, child.Pid, g.offset))
	back.want(fmt.Sprintf(`0/child,{"sid":%q,"pid":%q}`, child.Sid, child.Pid))
	if p := back.next(); !strings.HasPrefix(p, `2/child,["b",`) || !recv(t, recovered) {
		t.Errorf("got %s", p)
	}
}
