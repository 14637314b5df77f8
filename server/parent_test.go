package server_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/server"
)

func TestDynamicNamespaces(t *testing.T) {
	n := start(t)
	made := make(chan string, 10)
	n.OnNamespace(func(ns *server.Namespace) {
		made <- ns.Name()
		ns.Handle("own", func(e *server.Event) error { return e.Ack("own of " + ns.Name()) })
	})
	parent, err := n.OfMatch(regexp.MustCompile(`^/shop-\d+$`))
	must(t, err)
	byAuth, err := n.OfFunc(func(name string, h server.Handshake) bool {
		if name == "/panic" {
			panic("of the function")
		}
		return strings.HasPrefix(name, "/private") && string(h.Auth) == `{"key":1}`
	})
	must(t, err)
	var order []string
	parent.Use(func(s *server.Socket) error {
		if s.Namespace().Name() == "/shop-13" {
			return &server.ConnectError{Message: "bad luck"}
		}
		return nil
	})
	parent.OnConnection(func(s *server.Socket) { order = append(order, "connection "+s.Namespace().Name()) })
	disconnected := make(chan string, 10)
	parent.OnDisconnect(func(s *server.Socket, _ server.Reason) { disconnected <- s.Namespace().Name() })
	server.Reply(parent, "where", func(s *server.Socket, _ any) (string, error) { return s.Namespace().Name(), nil })
	server.Reply(byAuth, "where", func(s *server.Socket, _ any) (string, error) { return "private", nil })

	c := dial(t, n)
	c.join("/shop-1")
	c.send(`42/shop-1,1["where"]`, `42/shop-1,2["own"]`)
	c.want(`3/shop-1,1["/shop-1"]`, `3/shop-1,2["own of /shop-1"]`)
	c.join("/shop-2")
	c.send("40/shop-13,", "40/shop-x,", "40/private,", "40/_0,", "40/panic,")
	refused := make([]string, 5)
	for i := range refused {
		refused[i] = c.next()
	}
	slices.Sort(refused)
	if want := []string{
		`4/_0,{"message":"Invalid namespace"}`,
		`4/panic,{"message":"Invalid namespace"}`,
		`4/private,{"message":"Invalid namespace"}`,
		`4/shop-13,{"message":"bad luck"}`,
		`4/shop-x,{"message":"Invalid namespace"}`,
	}; !slices.Equal(refused, want) {
		t.Errorf("refused with %q", refused)
	}
	c.send(`40/private,{"key":1}`)
	if p := c.next(); !strings.HasPrefix(p, `0/private,{"sid"`) {
		t.Errorf("joining /private: %s", p)
	}
	c.send(`42/private,1["where"]`)
	c.want(`3/private,1["private"]`)
	for _, want := range []string{"/shop-1", "/shop-2", "/shop-13", "/private"} {
		if name := recv(t, made); name != want {
			t.Errorf("made %s, want %s", name, want)
		}
	}
	if !slices.Equal(order, []string{"connection /shop-1", "connection /shop-2"}) {
		t.Errorf("connections %q", order)
	}
	c.conn.Close()
	gone := []string{recv(t, disconnected), recv(t, disconnected)}
	slices.Sort(gone)
	if !slices.Equal(gone, []string{"/shop-1", "/shop-2"}) {
		t.Errorf("disconnected %q", gone)
	}
}

func TestParentReachesAllChildren(t *testing.T) {
	bus := adaptertest.NewBus()
	var nodes [2]*node
	var parents [2]*server.Namespace
	var clients [2]*client
	for i := range nodes {
		nodes[i] = start(t, server.WithAdapter(bus.Backend()), server.WithAckTimeout(patience))
		p, err := nodes[i].OfMatch(regexp.MustCompile(`^/d`))
		must(t, err)
		parents[i] = p
		server.On(p, "join", func(s *server.Socket, room string) error { s.Join(room); return nil })
		clients[i] = dial(t, nodes[i])
		for _, name := range []string{"/d1", "/d2"} {
			c := clients[i]
			c.join(name)
			c.send("42" + name + `,["join","room` + name[2:] + `"]`)
		}
	}
	eventually(t, "all nodes know all sockets and rooms", func() bool {
		for _, p := range parents {
			found, err := p.Fetch(t.Context())
			rooms, rerr := p.AllRooms(t.Context())
			if err != nil || rerr != nil || len(found) != 4 || len(rooms) != 2 {
				return false
			}
		}
		return true
	})
	must(t, parents[0].Emit("hello", 1))
	for _, c := range clients {
		got := []string{c.next(), c.next()}
		slices.Sort(got)
		if !slices.Equal(got, []string{`2/d1,["hello",1]`, `2/d2,["hello",1]`}) {
			t.Errorf("received %q", got)
		}
	}
	must(t, parents[1].To("room1").Emit("one"))
	for _, c := range clients {
		c.want(`2/d1,["one"]`)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		answers, err := server.CallAll[string](ctx, parents[0].Target, "who")
		slices.Sort(answers)
		if err != nil || !slices.Equal(answers, []string{"/d1", "/d1", "/d2", "/d2"}) {
			t.Errorf("answers %q: %v", answers, err)
		}
	}()
	for _, c := range clients {
		for range 2 {
			name, rest, _ := strings.Cut(strings.TrimPrefix(c.next(), "2"), ",")
			id, _, _ := strings.Cut(rest, "[")
			c.send("43" + name + "," + id + `["` + name + `"]`)
		}
	}
	recv(t, done)
	if count, err := parents[0].ServerCount(ctx); err != nil || count != 2 {
		t.Errorf("%d nodes: %v", count, err)
	}
	got := make(chan int, 2)
	server.On(parents[1].ServerSide(), "side", func(_ *server.Socket, x int) error { got <- x; return nil })
	must(t, parents[0].ServerSideEmit("side", 5))
	if a, b := recv(t, got), recv(t, got); a != 5 || b != 5 {
		t.Errorf("server-side events %d, %d", a, b)
	}
	must(t, parents[0].To("room2").Disconnect(false))
	for _, c := range clients {
		c.want("1/d2,")
	}
}

func TestEmptyChildrenAreRemoved(t *testing.T) {
	for _, cleanup := range []bool{false, true} {
		t.Run(strconv.FormatBool(cleanup), func(t *testing.T) {
			opts := []server.Option{server.WithNamespaceLimit(2)}
			if cleanup {
				opts = append(opts, server.WithEmptyNamespaceCleanup())
			}
			n := start(t, opts...)
			made := make(chan *server.Namespace, 10)
			n.OnNamespace(func(ns *server.Namespace) { made <- ns })
			disconnected := make(chan struct{}, 10)
			parent, err := n.OfMatch(regexp.MustCompile(`^/\d$`))
			must(t, err)
			parent.Use(func(s *server.Socket) error {
				if string(s.Handshake().Auth) == `{"refuse":true}` {
					return errors.New("no")
				}
				return nil
			})
			parent.OnDisconnect(func(*server.Socket, server.Reason) { disconnected <- struct{}{} })
			c := dial(t, n)
			c.join("/1")
			c.join("/2")
			first := recv(t, made)
			recv(t, made)
			c.send("40/3,")
			c.want(`4/3,{"message":"Invalid namespace"}`)
			if r := n.Stats().NamespacesRefused; r != 1 {
				t.Errorf("%d namespaces count as refused", r)
			}
			c.send("41/1,")
			recv(t, disconnected)
			if !cleanup {
				c.send("40/3,")
				c.want(`4/3,{"message":"Invalid namespace"}`)
				c.join("/1")
				if len(made) > 0 {
					t.Error("a child that stays was made anew")
				}
				return
			}
			eventually(t, "the child is gone", func() bool { return errors.Is(first.Emit("x"), server.ErrClosed) })
			c.send(`40/3,{"refuse":true}`)
			c.want(`4/3,{"message":"internal error"}`)
			gone := recv(t, made)
			eventually(t, "a child that refused its only client is gone", func() bool {
				return errors.Is(gone.Emit("x"), server.ErrClosed)
			})
			c.join("/1")
			if again := recv(t, made); again == first || again.Emit("x") != nil {
				t.Error("the child was not made anew")
			}
			c.want(`2/1,["x"]`)
		})
	}
}
