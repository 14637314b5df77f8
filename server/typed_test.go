package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server"
)

type point struct {
	X int `json:"x"`
	Y int `json:"y"`
}

func TestTypedHandlers(t *testing.T) {
	reported := make(chan error, 10)
	n := start(t, server.WithErrorHandler(func(_ *server.Socket, _ string, err error) { reported <- err }))
	internal := errors.New("secret")
	outcome := func(kind string) error {
		switch kind {
		case "client":
			return fmt.Errorf("wrapped: %w", server.Errorf("no %s", "way"))
		case "internal":
			return internal
		case "panic":
			panic("typed")
		}
		return nil
	}
	server.On(n, "on", func(_ *server.Socket, kind string) error { return outcome(kind) })
	server.On2(n, "on2", func(s *server.Socket, a string, p point) error { return s.Emit("got", a, p) })
	server.On3(n, "on3", func(s *server.Socket, a string, p point, l []int) error { return s.Emit("got", a, p, l) })
	server.Reply(n, "reply", func(_ *server.Socket, kind string) (string, error) { return "did " + kind, outcome(kind) })
	server.Reply2(n, "reply2", func(_ *server.Socket, a, b int) (int, error) { return a + b, nil })
	server.Reply3(n, "reply3", func(_ *server.Socket, a int, p point, b *int) (point, error) {
		if b != nil {
			a += *b
		}
		return point{a, p.Y}, nil
	})
	server.Reply(n, "unencodable", func(*server.Socket, int) (func(), error) { return func() {}, nil })
	c, _ := join(t, n)
	for _, tt := range []struct{ packet, answer, reports string }{
		{`420["on","fine"]`, `30[]`, ""},
		{`420["on"]`, `30[]`, ""},
		{`420["on","client"]`, `30[{"error":"no way"}]`, ""},
		{`420["on","internal"]`, `30[{"error":"internal error"}]`, "secret"},
		{`420["on","panic"]`, `30[{"error":"internal error"}]`, "typed"},
		{`420["on",{"wrong":"type"}]`, `30[{"error":"invalid arguments"}]`, "argument 0"},
		{`42["on2","a",{"x":1},"extra"]`, `2["got","a",{"x":1,"y":0}]`, ""},
		{`42["on2"]`, `2["got","",{"x":0,"y":0}]`, ""},
		{`420["on2","a",7]`, `30[{"error":"invalid arguments"}]`, "argument 1"},
		{`42["on3","a",{"y":2},[1,2]]`, `2["got","a",{"x":0,"y":2},[1,2]]`, ""},
		{`420["on3","a",{},"list"]`, `30[{"error":"invalid arguments"}]`, "argument 2"},
		{`4212345["reply","it"]`, `312345["did it"]`, ""},
		{`420["reply","client"]`, `30[{"error":"no way"}]`, ""},
		{`420["reply","internal"]`, `30[{"error":"internal error"}]`, "secret"},
		{`420["reply","panic"]`, `30[{"error":"internal error"}]`, "typed"},
		{`420["reply",1]`, `30[{"error":"invalid arguments"}]`, "argument 0"},
		{`420["reply2",1,2,3]`, `30[3]`, ""},
		{`420["reply2",1]`, `30[1]`, ""},
		{`420["reply2",1,"2"]`, `30[{"error":"invalid arguments"}]`, "argument 1"},
		{`420["reply3",1,{"y":4},2]`, `30[{"x":3,"y":4}]`, ""},
		{`420["reply3",1,{"y":4},null]`, `30[{"x":1,"y":4}]`, ""},
		{`420["reply3",1,2,3]`, `30[{"error":"invalid arguments"}]`, "argument 1"},
		{`420["unencodable"]`, `30[{"error":"internal error"}]`, "unsupported type"},
	} {
		t.Run(tt.packet, func(t *testing.T) {
			c.t = t
			c.send(tt.packet)
			c.want(tt.answer)
			if tt.reports == "" {
				return
			}
			if err := recv(t, reported); !strings.Contains(err.Error(), tt.reports) {
				t.Errorf("reported %v", err)
			}
		})
	}
	// Without a wish for an acknowledgement nothing is sent.
	c.send(`42["reply","it"]`, `42["reply","client"]`, `42["reply","panic"]`, `42["on","fine"]`, `421["reply2",0,0]`)
	c.want("31[0]")
	recv(t, reported)
	if len(reported) > 0 {
		t.Errorf("more was reported: %v", <-reported)
	}
}

func TestDecode(t *testing.T) {
	n := start(t)
	done := make(chan struct{})
	n.Handle("7", func(e *server.Event) error {
		defer close(done)
		if e.Name() != "7" || e.Len() != 3 || e.WantsAck() {
			t.Errorf("name %q, %d arguments, ack %t", e.Name(), e.Len(), e.WantsAck())
		}
		a, b, c, d := 0, "", point{9, 9}, "kept"
		if err := e.Decode(&a, &b, &c, &d); err != nil || a != 1 || b != "two" || c != (point{3, 9}) || d != "kept" {
			t.Errorf("decoded %v %v %v %v: %v", a, b, c, d, err)
		}
		var de *server.DecodeError
		if err := e.Decode(&a, &a); !errors.As(err, &de) || de.Index != 1 || de.Unwrap() == nil {
			t.Errorf("decoding text into an int: %v", err)
		}
		all, err := e.Args()
		if got := fmt.Sprint(all); err != nil || got != "[1 two map[x:3]]" {
			t.Errorf("Args: %s, %v", got, err)
		}
		return nil
	})
	c, _ := join(t, n)
	c.send(`42[7,1,"two",{"x":3}]`)
	recv(t, done)
}

func TestBinary(t *testing.T) {
	type file struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	n := start(t)
	server.Reply2(n, "put", func(s *server.Socket, f file, raw []byte) (file, error) {
		if err := s.Emit("put", f, raw); err != nil {
			return file{}, err
		}
		return file{f.Name + "!", append(f.Data, raw...)}, nil
	})
	c, _ := join(t, n)
	packet := `451-7["put",{"name":"n","data":{"_placeholder":true,"num":0}}]`
	c.send(packet, "bab")
	c.want(`51-["put",{"name":"n","data":{"_placeholder":true,"num":0}},null]`, "bab",
		`61-7[{"name":"n!","data":{"_placeholder":true,"num":0}}]`, "bab")
}
