package server_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/roomspan/roomspan/server"
)

func TestEventMiddleware(t *testing.T) {
	reported := make(chan error, 10)
	n := start(t, server.WithErrorHandler(func(_ *server.Socket, _ string, err error) { reported <- err }))
	steps := make(chan string, 20)
	around := func(name string) func(*server.Event, func() error) error {
		return func(e *server.Event, next func() error) error {
			steps <- name + " before " + e.Name()
			err := next()
			if again := next(); again != nil {
				t.Errorf("a second call of next returned %v", again)
			}
			steps <- name + " after"
			return err
		}
	}
	n.UseEvent(around("outer"))
	n.UseEvent(func(e *server.Event, next func() error) error {
		switch e.Name() {
		case "refused":
			return server.Errorf("not you")
		case "broken":
			return errors.New("secret")
		case "panic":
			panic("middleware")
		case "swallowed":
			_ = next()
			return nil
		}
		return next()
	})
	failure := errors.New("handler failed")
	server.Reply(n, "fine", func(*server.Socket, int) (int, error) { return 7, nil })
	n.Handle("fails", func(*server.Event) error { return failure })
	n.Handle("swallowed", func(*server.Event) error { return failure })
	n.UseEvent(around("inner"))
	c, _ := join(t, n)
	inside := []string{"outer before E", "inner before E", "inner after", "outer after"}
	outside := []string{"outer before E", "outer after"}
	for _, tt := range []struct {
		event, answer, reports string
		steps                  []string
	}{
		{"fine", "30[7]", "", inside},
		{"fails", "", failure.Error(), inside},
		{"swallowed", "", "", inside},
		{"refused", `30[{"error":"not you"}]`, "", outside},
		{"broken", `30[{"error":"internal error"}]`, "secret", outside},
		{"panic", `30[{"error":"internal error"}]`, "panic in a handler: middleware", outside},
	} {
		t.Run(tt.event, func(t *testing.T) {
			c.t = t
			c.send(`420["` + tt.event + `",1]`)
			for _, want := range tt.steps {
				if got := recv(t, steps); got != strings.Replace(want, "E", tt.event, 1) {
					t.Errorf("step %q, want %q", got, want)
				}
			}
			if tt.answer != "" {
				c.want(tt.answer)
			}
			if tt.reports != "" {
				if err := recv(t, reported); !strings.Contains(err.Error(), tt.reports) {
					t.Errorf("reported %v", err)
				}
			}
		})
	}
	if len(reported) > 0 {
		t.Errorf("also reported: %v", <-reported)
	}
}

func TestRemovedMiddlewareIsNotCalled(t *testing.T) {
	n := start(t)
	remove := n.UseEvent(func(*server.Event, func() error) error { return server.Errorf("closed") })
	server.Reply(n, "x", func(*server.Socket, int) (string, error) { return "open", nil })
	c, _ := join(t, n)
	c.send(`421["x",1]`)
	c.want(`31[{"error":"closed"}]`)
	remove()
	remove()
	c.send(`422["x",1]`)
	c.want(`32["open"]`)
}

func TestOnAny(t *testing.T) {
	n := start(t)
	got := make(chan string, 10)
	remove := n.OnAny(func(e *server.Event) error {
		got <- "any " + e.Name()
		if e.WantsAck() {
			return e.Ack("caught")
		}
		return nil
	})
	n.Handle("known", func(e *server.Event) error { got <- "known"; return nil })
	own := n.OnAny(func(e *server.Event) error { got <- "second"; return nil })
	c, _ := join(t, n)
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if g := recv(t, got); g != w {
				t.Errorf("%q was called, want %q", g, w)
			}
		}
	}
	c.send(`42["known"]`, `427["unknown\n",1]`)
	expect("any known", "second", "known", "any unknown\n", "second")
	c.want(`37["caught"]`)
	if u := n.Stats().Unhandled; u != 0 {
		t.Errorf("%d events count as unhandled", u)
	}
	remove()
	own()
	c.send(`42["unknown"]`, `42["known"]`)
	expect("known")
	if u := n.Stats().Unhandled; u != 1 {
		t.Errorf("%d events count as unhandled, want 1", u)
	}
}

func TestOnceAndRemove(t *testing.T) {
	n := start(t)
	got := make(chan string, 10)
	say := func(what string) func(*server.Socket, int) error {
		return func(*server.Socket, int) error { got <- what; return nil }
	}
	server.Once(n, "x", say("once"))
	never := server.Once(n, "x", say("never"))
	never()
	remove := server.On(n, "x", say("removed"))
	stays := server.On(n, "x", say("stays"))
	server.On(n, "end", say("end"))
	n.OnConnection(func(s *server.Socket) {
		own := server.On(s, "x", say("socket"))
		server.Once(s, "off", func(s *server.Socket, _ int) error {
			own()
			return nil
		})
	})
	c, _ := join(t, n)
	round := func(want ...string) {
		t.Helper()
		c.send(`42["x",1]`, `42["end"]`)
		var all []string
		for {
			s := recv(t, got)
			if s == "end" {
				break
			}
			all = append(all, s)
		}
		if !slices.Equal(all, want) {
			t.Errorf("called %q, want %q", all, want)
		}
	}
	round("once", "removed", "stays", "socket")
	remove()
	round("stays", "socket")
	c.send(`42["off"]`)
	round("stays")
	stays()
	round()
}

func TestOnceIsCalledOnceByManyClients(t *testing.T) {
	n := start(t)
	var calls atomic.Int32
	server.Once(n, "x", func(*server.Socket, int) error { calls.Add(1); return nil })
	server.Reply(n, "end", func(*server.Socket, int) (bool, error) { return true, nil })
	var all []*client
	for range 8 {
		c, _ := join(t, n)
		all = append(all, c)
	}
	for _, c := range all {
		c.send(`42["x",1]`, `421["end",1]`)
	}
	for _, c := range all {
		c.want("31[true]")
	}
	if calls.Load() != 1 {
		t.Errorf("called %d times", calls.Load())
	}
}

func TestOnAnyOutgoing(t *testing.T) {
	n := start(t)
	got := make(chan string, 20)
	n.OnAnyOutgoing(func(s *server.Socket, e *server.Event) {
		args, err := e.Args()
		if err != nil || len(args) != 1 || e.Socket() != s || e.WantsAck() || !errors.Is(e.Ack(), server.ErrNoAck) {
			t.Errorf("event %q %v %v", e.Name(), args, err)
		}
		got <- e.Name() + " " + args[0].(string)
		panic("contained")
	})
	sockets := make(chan *server.Socket, 2)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	c, _ := join(t, n)
	join(t, n)
	s := recv(t, sockets)
	must(t, s.Emit("own", "1"))
	must(t, n.Emit("all", "2"))
	must(t, s.Broadcast().Emit("others", "3"))
	c.want(event("own", `"1"`), event("all", `"2"`))
	must(t, s.Volatile().Emit("volatile", "5"))
	c.want(event("volatile", `"5"`))
	go func() { _, _ = s.EmitWithAck(t.Context(), "asked", "6") }()
	c.want(`21["asked","6"]`)
	c.send("431[]")
	for _, want := range []string{"own 1", "all 2", "all 2", "others 3", "volatile 5", "asked 6"} {
		if g := recv(t, got); g != want {
			t.Errorf("told of %q, want %q", g, want)
		}
	}
}
