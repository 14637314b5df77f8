package server_test

import (
	"errors"
	"net/url"
	"testing"

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
	if s := recv(t, sockets); s.ID() != "/custom#"+c.sid || string(s.Handshake().Auth) != `{"n":"1,2","token":"a b"}` {
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
		case "other":
			return errors.New("secret")
		}
		return &server.ConnectError{Message: "no \"entry\""}
	})
	for query, want := range map[string]string{
		"message": `4"no \"entry\""`,
		"data":    `4{"code":1}`,
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

func TestSocketIO2ByOptionOnly(t *testing.T) {
	if _, err := tryDialVersion(start(t), "3"); err == nil {
		t.Error("a client of Engine.IO 3 was let in")
	}
}
