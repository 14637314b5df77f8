package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
)

// dial3 opens a connection of a client of Socket.IO 2.
func dial3(t *testing.T, n *node) *client {
	t.Helper()
	c, err := tryDialVersion(n, "3")
	must(t, err)
	c.attach(t)
	return c
}

func TestClientsOfSocketIO2(t *testing.T) {
	n := start(t, server.WithEIO3(), server.WithIDs(nil, func(string, server.Handshake) (string, error) { return "chosen", nil }))
	custom := n.of(t, "/custom")
	sockets := make(chan *server.Socket, 2)
	for _, ns := range []*server.Namespace{n.Namespace, custom} {
		ns.OnConnection(func(s *server.Socket) { sockets <- s })
		server.Reply(ns, "x", func(_ *server.Socket, b []byte) ([]byte, error) { return append(b, 3), nil })
	}
	c := dial3(t, n)
	c.want("0")
	s := recv(t, sockets)
	if s.ID() != c.sid || string(s.Handshake().Auth) != "{}" {
		t.Errorf("socket %q of session %q, auth %s", s.ID(), c.sid, s.Handshake().Auth)
	}
	c.send("40/custom?token=a%20b&n=1&n=2,")
	c.want("0/custom,")
	if s := recv(t, sockets); s.ID() != "/custom#"+c.sid || string(s.Handshake().Auth) != `{"n":"2","token":"a b"}` {
		t.Errorf("socket %q of session %q, auth %s", s.ID(), c.sid, s.Handshake().Auth)
	}
	c.send(`451-/custom,7["x",{"_placeholder":true,"num":0}]`, "b\x04\x01\x02")
	c.want(`61-/custom,7[{"_placeholder":true,"num":0}]`, "b\x04\x01\x02\x03")
	c.send("2")
	c.want("engine.io 3")
	c.send("40")
	c.gone()
}

func TestRefusalsOfSocketIO2(t *testing.T) {
	n := start(t, server.WithEIO3())
	n.Use(func(s *server.Socket) error {
		switch q := s.Handshake().Query().Get("case"); q {
		case "data":
			return &server.ConnectError{Message: "no", Data: map[string]int{"code": 1}}
		case "text":
			return &server.ConnectError{Message: "no", Data: "why"}
		case "false":
			return &server.ConnectError{Message: "no", Data: false}
		case "empty":
			return &server.ConnectError{Message: "no", Data: ""}
		case "other":
			return errors.New("secret")
		}
		return &server.ConnectError{Message: "no \"entry\""}
	})
	for query, want := range map[string]string{
		"message": `4"no \"entry\""`,
		"data":    `4{"code":1}`,
		"text":    `4"why"`,
		"false":   `4"no"`,
		"empty":   `4"no"`,
		"other":   `4"internal error"`,
	} {
		t.Run(query, func(t *testing.T) {
			c, err := tryDialVersion(n, "3&case="+url.QueryEscape(query))
			must(t, err)
			c.attach(t)
			c.want(want)
		})
	}
}

// A refusal in the main namespace leaves the others open.
func TestSocketIO2RefusedInOneNamespace(t *testing.T) {
	n := start(t, server.WithEIO3())
	n.Use(func(*server.Socket) error { return &server.ConnectError{Message: "no"} })
	custom := n.of(t, "/custom")
	server.Reply(custom, "x", func(_ *server.Socket, x int) (int, error) { return x + 1, nil })
	c := dial3(t, n)
	c.want(`4"no"`)
	c.send("40/custom") // without a comma, as these clients do
	c.want("0/custom,")
	c.send(`42/custom,1["x",1]`)
	c.want(`3/custom,1[2]`)
	c.send("40/none?a=1,")
	c.want(`4/none,{"message":"Invalid namespace"}`)
}

// One broadcast reaches clients of both versions, each in its form.
func TestMixedRoom(t *testing.T) {
	n := start(t, server.WithEIO3())
	n.OnConnection(func(s *server.Socket) { s.Join("mixed") })
	old, other := dial3(t, n), dial3(t, n)
	old.want("0")
	other.want("0")
	young, _ := join(t, n)
	must(t, n.To("mixed").Emit("x", "ü", []byte{1, 2}))
	const text = `51-["x","ü",{"_placeholder":true,"num":0}]`
	young.want(text, "b\x01\x02")
	for _, c := range []*client{old, other} {
		c.want(text, "b\x04\x01\x02")
	}
}

// A client that pings in time stays; one that is silent is gone after interval
// and time-out, whatever else it sends.
func TestHeartbeatOfSocketIO2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t, server.WithEIO3(), server.WithPingInterval(3*time.Second), server.WithPingTimeout(2*time.Second))
		reasons := make(chan server.Reason, 1)
		n.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
		c := dial3(t, n)
		c.want("0")
		for range 20 {
			time.Sleep(3 * time.Second)
			c.send("2")
			c.want("engine.io 3")
		}
		at := time.Now()
		time.Sleep(4 * time.Second)
		c.send(`42["x"]`)
		c.gone()
		if d := time.Since(at); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("closed after %v", d)
		}
		if r := recv(t, reasons); r != server.ReasonPingTimeout {
			t.Errorf("reason %q", r)
		}
	})
}

// The time-out does not end with the transport that the client began with.
func TestSilentSocketIO2AfterUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t, server.WithEIO3(), server.WithPingInterval(3*time.Second), server.WithPingTimeout(2*time.Second))
		transport := &http.Transport{DialContext: n.dial}
		defer transport.CloseIdleConnections()
		res, err := (&http.Client{Transport: transport}).Get(n.http.URL + "/socket.io/?EIO=3&transport=polling")
		must(t, err)
		body, err := io.ReadAll(res.Body)
		must(t, err)
		_ = res.Body.Close()
		var open struct{ SID string }
		_, packet, _ := strings.Cut(string(body), ":0")
		must(t, json.Unmarshal([]byte(packet), &open))
		conn, _, _, err := ws.Dialer{NetDial: n.dial}.Dial(t.Context(), "ws"+strings.TrimPrefix(n.http.URL, "http")+
			"/socket.io/?EIO=3&transport=websocket&sid="+open.SID)
		must(t, err)
		c := &client{conn: conn, packets: make(chan string, 16), done: make(chan struct{}), turn: make(chan struct{}, 1)}
		c.attach(t)
		c.send("2probe")
		c.want("engine.io 3probe")
		c.send("5")
		c.want("0")
		c.gone()
		if got := n.Stats(); got.PingTimeouts != 1 || got.Upgrades != 1 {
			t.Errorf("%d ping timeouts, %d upgrades", got.PingTimeouts, got.Upgrades)
		}
	})
}

func TestSocketIO2ByOptionOnly(t *testing.T) {
	if _, err := tryDialVersion(start(t), "3"); err == nil {
		t.Error("a client of Engine.IO 3 was let in")
	}
}
