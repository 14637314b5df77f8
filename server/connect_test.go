package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server"
)

func TestConnectForms(t *testing.T) {
	n := start(t)
	for _, name := range []string{"/", "/admin"} {
		n.of(t, name).OnConnection(func(s *server.Socket) {
			if err := s.Emit("auth", s.Handshake().Auth); err != nil {
				t.Error(err)
			}
		})
	}
	for _, tt := range []struct{ packet, namespace, auth string }{
		{`40`, "/", `{}`},
		{`40{"token":"x"}`, "/", `{"token":"x"}`},
		{`40/admin,`, "/admin", `{}`},
		{`40/admin,{"token":"x"}`, "/admin", `{"token":"x"}`},
		{`40/admin`, "/admin", `{}`},
		{`40/admin?token=x,`, "/admin", `{}`},
		{`40/admin?token=x,{"a":1}`, "/admin", `{"a":1}`},
	} {
		t.Run(tt.packet, func(t *testing.T) {
			c := dial(t, n)
			c.send(tt.packet)
			sidOf(t, tt.namespace, c.next())
			c.want("2" + prefix(tt.namespace) + `["auth",` + tt.auth + `]`)
		})
	}
}

func TestSocketIDs(t *testing.T) {
	n := start(t)
	n.of(t, "/a")
	c := dial(t, n)
	seen := map[string]string{c.sid: "the session"}
	for _, name := range []string{"/", "/a"} {
		id := c.join(name)
		if len(id) != 20 {
			t.Errorf("id %q has %d characters", id, len(id))
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%s has the id of %s", name, other)
		}
		seen[id] = name
	}
	c.send("41")
	if id := c.join("/"); seen[id] != "" {
		t.Error("a socket that joined again has its old id")
	}
}

func TestConnectIsAnsweredBeforeAnyBroadcast(t *testing.T) {
	n := start(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = n.Emit("x")
			}
		}
	}()
	n.OnConnection(func(s *server.Socket) { s.Disconnect(true) })
	for range 50 {
		c := dial(t, n)
		c.send("40")
		sidOf(t, "/", c.next())
		c.gone()
	}
	close(stop)
	<-done
}

func TestRoomsJoinedInMiddlewareGetNothingBeforeTheAnswer(t *testing.T) {
	n := start(t)
	n.Use(func(s *server.Socket) error {
		s.Join("early", "left")
		s.Leave("left")
		must(t, n.To("early").Emit("too early"))
		return nil
	})
	c, _ := join(t, n)
	must(t, n.To("left").Emit("never"))
	must(t, n.To("early").Emit("now"))
	c.want(event("now"))
}

func TestEmitInMiddlewareIsRefused(t *testing.T) {
	n := start(t)
	n.Use(func(s *server.Socket) error {
		if err := s.Emit("too early"); !errors.Is(err, server.ErrDisconnected) {
			t.Errorf("Emit before the socket is connected: %v", err)
		}
		if _, err := s.EmitWithAck(t.Context(), "too early"); !errors.Is(err, server.ErrDisconnected) {
			t.Errorf("EmitWithAck before the socket is connected: %v", err)
		}
		return nil
	})
	join(t, n)
}

func TestInvalidNamespace(t *testing.T) {
	n := start(t)
	c := dial(t, n)
	c.send("40/random,")
	c.want(`4/random,{"message":"Invalid namespace"}`)
	c.join("/")
}

func TestMiddlewareRefuses(t *testing.T) {
	var (
		log      logs
		reported = make(chan error, 10)
	)
	n := start(t, server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		server.WithErrorHandler(func(_ *server.Socket, _ string, err error) { reported <- err }))
	for _, tt := range []struct {
		name, reply string
		refusal     func() error
		reports     string
	}{
		{"data", `{"message":"no","data":{"code":7}}`, func() error {
			return &server.ConnectError{Message: "no", Data: map[string]int{"code": 7}}
		}, ""},
		{"message", `{"message":"no \"entry\""}`, func() error { return &server.ConnectError{Message: `no "entry"`} }, ""},
		{"ordinary", `{"message":"internal error"}`, func() error { return errors.New("password of the database") }, "password of the database"},
		{"panic", `{"message":"internal error"}`, func() error { panic("at the door") }, "at the door"},
		{"baddata", `{"message":"no"}`, func() error { return &server.ConnectError{Message: "no", Data: func() {}} }, "unsupported type"},
		{"panicdata", `{"message":"no"}`, func() error { return &server.ConnectError{Message: "no", Data: panicJSON{}} }, "cannot be written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ns := n.of(t, tt.name)
			ns.Use(func(*server.Socket) error { return tt.refusal() })
			ns.Use(func(*server.Socket) error {
				t.Error("the middleware behind the refusal was called")
				return nil
			})
			ns.OnConnection(func(*server.Socket) { t.Error("a refused socket is connected") })
			ns.OnDisconnect(func(*server.Socket, server.Reason) { t.Error("a refused socket is disconnected") })
			c := dial(t, n)
			for range 2 { // a client may try again
				c.send("40/" + tt.name + ",")
				c.want("4/" + tt.name + "," + tt.reply)
				if tt.reports == "" {
					continue
				}
				if err := recv(t, reported); !strings.Contains(err.Error(), tt.reports) {
					t.Errorf("the error handler was told %v", err)
				}
				if !strings.Contains(log.String(), tt.reports) {
					t.Errorf("the log does not have %q", tt.reports)
				}
			}
			c.join("/") // the connection and the other namespaces are not concerned
		})
	}
	if len(reported) > 0 {
		t.Errorf("a refusal that is none was reported: %v", <-reported)
	}
}

type panicJSON struct{}

func (panicJSON) MarshalJSON() ([]byte, error) { panic("cannot be written") }

func TestMiddlewareMayDisconnect(t *testing.T) {
	n := start(t)
	ns := n.of(t, "/a")
	ns.Use(func(s *server.Socket) error {
		s.Disconnect(false)
		return nil
	})
	ns.OnDisconnect(func(*server.Socket, server.Reason) { t.Error("a socket that never joined is disconnected") })
	c := dial(t, n)
	c.send("40/a,")
	c.want(`4/a,{"message":"internal error"}`)
	c.join("/")
}

func TestOutOfPlaceClosesTheConnection(t *testing.T) {
	for _, tt := range []struct {
		name    string
		joined  bool
		packets []string
	}{
		{"connect twice", true, []string{"40"}},
		{"connect twice at once", false, []string{"40", "40"}},
		{"event before connect", false, []string{`42["x"]`}},
		{"event with connect", false, []string{"40/slow,", `42/slow,["x"]`}},
		{"event for another namespace", true, []string{`42/slow,["x"]`}},
		{"event for no namespace", true, []string{`42/none,["x"]`}},
		{"ack before connect", false, []string{`430[]`}},
		{"disconnect before connect", false, []string{`41`}},
		{"disconnect during connect", false, []string{"40/slow,", `41/slow,`}},
		{"connect error", true, []string{`44{"message":"x"}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := start(t)
			release := make(chan struct{})
			n.of(t, "/slow").Use(func(s *server.Socket) error {
				select {
				case <-release:
				case <-s.Context().Done():
				}
				return nil
			})
			if tt.name == "connect twice at once" {
				n.Use(func(*server.Socket) error { <-release; return nil })
			}
			reasons := make(chan server.Reason, 1)
			n.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
			n.Handle("x", func(*server.Event) error {
				t.Error("the event reached its handler")
				return nil
			})
			other := dial(t, n)
			c := dial(t, n)
			if tt.joined {
				c.join("/")
			}
			c.send(tt.packets...)
			c.gone()
			close(release)
			if tt.joined {
				if r := recv(t, reasons); r != server.ReasonForcedServerClose {
					t.Errorf("reason %q", r)
				}
			}
			if got := n.Stats().ProtocolErrors; got != 1 {
				t.Errorf("%d protocol errors counted", got)
			}
			other.join("/") // nobody else pays
		})
	}
}

func TestEventsAfterServerDisconnectAreIgnored(t *testing.T) {
	n := start(t)
	n.of(t, "/a").OnConnection(func(s *server.Socket) { s.Disconnect(false) })
	c := dial(t, n)
	c.join("/")
	c.join("/a")
	c.want("1/a,")
	// As if they had crossed the disconnection.
	c.send(`42/a,["x"]`, `43/a,0[]`, `41/a,`)
	c.join("/a")
}

func TestHandshake(t *testing.T) {
	n := start(t)
	got := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { got <- s })
	c, id := join(t, n)
	s := recv(t, got)
	h := s.Handshake()
	if s.ID() != id || s.Namespace().Name() != "/" || s.Transport() != "websocket" {
		t.Errorf("id %s namespace %s transport %s", s.ID(), s.Namespace().Name(), s.Transport())
	}
	if h.Query().Get("EIO") != "4" || h.Address != c.conn.LocalAddr().String() || h.Secure || h.CrossDomain {
		t.Errorf("handshake %+v", h)
	}
	if h.Header().Get("Sec-Websocket-Version") != "13" || time.Since(h.Time) > patience {
		t.Errorf("headers %v at %v", h.Header(), h.Time)
	}
	h.Header().Set("Upgrade", "changed")
	if h.Header().Get("Upgrade") != "websocket" {
		t.Error("Header is no copy")
	}
}

func TestPolling(t *testing.T) {
	n := start(t)
	n.Handle("echo", func(e *server.Event) error { return e.Socket().Emit("echo", e.Len()) })
	p := poll(t, n)
	if body, status := p.post("40"); body != "ok" || status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	body, _ := p.get()
	sidOf(t, "/", body[1:])
	p.post(`42["echo",1]`, `42["echo",1,2]`)
	var all []string
	for len(all) < 2 {
		body, _ := p.get()
		all = append(all, strings.Split(body, "\x1e")...)
	}
	if all[0] != `42["echo",1]` || all[1] != `42["echo",2]` {
		t.Errorf("got %q", all)
	}
}

func TestServeHTTPAfterShutdown(t *testing.T) {
	n := start(t)
	must(t, n.Shutdown(context.Background()))
	resp, err := http.Get(n.http.URL + "/socket.io/?EIO=4&transport=polling")
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	defer http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// Who has the answer can be reached: it does not go out before the socket is
// in the index of rooms, also when the client joins several namespaces at once.
func TestConnectedClientIsReachable(t *testing.T) {
	n := start(t, server.WithAdapter(&broken{Backend: adapter.Memory(), delay: 20 * time.Millisecond}))
	a := n.of(t, "/a")
	a.Use(func(*server.Socket) error { time.Sleep(10 * time.Millisecond); return nil })
	c := dial(t, n)
	c.send("40", "40/a,")
	for _, ns := range []*server.Namespace{n.Namespace, a} {
		id := sidOf(t, ns.Name(), c.next())
		if found, err := ns.To(id).Fetch(t.Context()); err != nil || len(found) != 1 {
			t.Errorf("%s: found %d sockets, %v", ns.Name(), len(found), err)
		}
	}
}

// A handler gathers what it emits, and the answer to the connect with it, but
// not for ever.
func TestConnectIsAnsweredWhileAConnectionHandlerBlocks(t *testing.T) {
	n := start(t)
	release := make(chan struct{})
	n.OnConnection(func(*server.Socket) { <-release })
	join(t, n)
	close(release)
}
