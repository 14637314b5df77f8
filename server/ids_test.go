package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/roomspan/roomspan/server"
)

func TestChosenSessionIDs(t *testing.T) {
	var (
		next  atomic.Value
		cause = errors.New("no more ids")
	)
	errs := make(chan server.ConnectionError, 1)
	n := start(t, server.WithIDs(func(r *http.Request) (string, error) {
		id := next.Load().(string)
		switch id {
		case "error":
			return "", cause
		case "panic":
			panic(id)
		}
		return id, nil
	}, nil), server.WithConnectionErrorHandler(func(e server.ConnectionError) { errs <- e }))
	long := strings.Repeat("x", 128)
	for _, id := range []string{"a", "A-z.0_9~:@", long} {
		next.Store(id)
		_, body := request(t, n, "GET", pollingHandshake)
		if got := opened(t, body); got != id {
			t.Errorf("session id %q, want %q", got, id)
		}
	}
	for _, id := range []string{"", "a", long, long + "x", "a b", "ä", "a,b", `a"b`, "a;b", `a\b`, "a\n", "a/b", "a&b", "a#b", "a%b", "error", "panic"} {
		next.Store(id)
		for _, target := range []string{pollingHandshake, webSocketHandshake} {
			res, body := request(t, n, "GET", target)
			refused(t, res, body, 400, 3, "Bad request")
			e := recv(t, errs)
			if e.Context != "ID_GENERATION_ERROR" || e.Err == nil || id == "error" && !errors.Is(e.Err, cause) {
				t.Errorf("%q: reported %+v", id, e)
			}
		}
	}
	if st := n.Stats(); st.Sessions != 3 || st.Opened != 3 {
		t.Errorf("%d sessions, %d opened", st.Sessions, st.Opened)
	}
	// The id is free again when the session has ended, or could not begin.
	request(t, n, "POST", pollingHandshake+"&sid=a", "Content-Length", "0") // an empty packet is a parse error
	next.Store("a")
	res, _ := request(t, n, "GET", webSocketHandshake, "Sec-WebSocket-Key", "short")
	if res.StatusCode == 101 {
		t.Fatal("upgraded")
	}
	recv(t, errs)
	c := dial(t, n)
	c.join("/")
	if c.sid != "a" {
		t.Errorf("session id %q", c.sid)
	}
}

func TestChosenSocketIDs(t *testing.T) {
	var handled atomic.Int32
	n := start(t, server.WithIDs(nil, func(namespace string, h server.Handshake) (string, error) {
		switch id := string(h.Auth[7 : len(h.Auth)-2]); id { // {"id":"…"}
		case "refused":
			return "", &server.ConnectError{Message: "go away", Data: 1}
		case "error":
			return "", errors.New("database is down")
		case "panic":
			panic(id)
		default:
			return strings.ReplaceAll(namespace, "/", "") + id, nil
		}
	}), server.WithErrorHandler(func(*server.Socket, string, error) { handled.Add(1) }))
	n.of(t, "/a")
	n.Use(func(s *server.Socket) error { s.Join("of:" + s.ID()); return nil })
	c := dial(t, n)
	for _, tt := range []struct{ send, want string }{
		{`40{"id":"alice"}`, `0{"sid":"alice"}`},
		{`40/a,{"id":"alice"}`, `0/a,{"sid":"aalice"}`},
	} {
		c.send(tt.send)
		c.want(tt.want)
	}
	other := dial(t, n)
	for _, tt := range []struct{ id, want string }{
		{"alice", `{"message":"id in use"}`},
		{"refused", `{"message":"go away","data":1}`},
		{"error", `{"message":"internal error"}`},
		{"panic", `{"message":"internal error"}`},
		{"not valid", `{"message":"internal error"}`},
	} {
		other.send(fmt.Sprintf(`40{"id":%q}`, tt.id))
		other.want("4" + tt.want)
	}
	if handled.Load() != 3 {
		t.Errorf("%d errors reported", handled.Load())
	}
	must(t, n.To("alice").Emit("x"))
	must(t, n.To("of:alice").Emit("y"))
	c.want(event("x"), event("y"))
	// Free again when the socket has ended.
	c.send("41")
	eventually(t, "the socket has ended", func() bool { return n.Stats().Sockets == 1 })
	eventually(t, "its id is free", func() bool {
		other.send(`40{"id":"alice"}`)
		return other.next() == `0{"sid":"alice"}`
	})
}

// Sockets that want one id at the same time: one gets it.
func TestChosenSocketIDsAreUnique(t *testing.T) {
	n := start(t, server.WithIDs(nil, func(string, server.Handshake) (string, error) { return "one", nil }))
	clients := make([]*client, 20)
	for i := range clients {
		clients[i] = dial(t, n)
	}
	for _, c := range clients {
		go c.send("40")
	}
	connected := 0
	for _, c := range clients {
		switch got := c.next(); got {
		case `0{"sid":"one"}`:
			connected++
		case `4{"message":"id in use"}`:
		default:
			t.Errorf("answer %q", got)
		}
	}
	if connected != 1 {
		t.Errorf("%d sockets have one id", connected)
	}
}
