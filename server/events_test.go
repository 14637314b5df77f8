package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server"
)

func TestEventsOfOneSocketAreHandledInOrder(t *testing.T) {
	n := start(t)
	var running atomic.Int32
	got := make(chan int, 1000)
	server.On(n, "x", func(_ *server.Socket, i int) error {
		if running.Add(1) != 1 {
			t.Error("two handlers of one socket run at once")
		}
		runtime.Gosched()
		running.Add(-1)
		got <- i
		return nil
	})
	c, _ := join(t, n)
	for i := range 1000 {
		c.send(fmt.Sprintf(`42["x",%d]`, i))
	}
	for i := range 1000 {
		if v := recv(t, got); v != i {
			t.Fatalf("event %d came as number %d", v, i)
		}
	}
}

func TestEventsWaitForConnectionHandlers(t *testing.T) {
	n := start(t)
	release := make(chan struct{})
	var ready atomic.Bool
	n.OnConnection(func(s *server.Socket) {
		<-release
		ready.Store(true)
	})
	done := make(chan bool, 1)
	n.Handle("x", func(*server.Event) error { done <- ready.Load(); return nil })
	c, _ := join(t, n)
	c.send(`42["x"]`)
	eventually(t, "the event is received", func() bool { return n.Stats().Received == 2 })
	close(release)
	if !recv(t, done) {
		t.Error("an event was handled before the connection handler returned")
	}
}

func TestBlockedHandlerDelaysNothingElse(t *testing.T) {
	n := start(t, server.WithPingInterval(50*time.Millisecond), server.WithPingTimeout(5*time.Second))
	a := n.of(t, "/a")
	release := make(chan struct{})
	blocked := make(chan *server.Socket, 1)
	n.Handle("block", func(e *server.Event) error {
		blocked <- e.Socket()
		<-release
		return e.Ack("released")
	})
	server.Reply(a, "echo", func(_ *server.Socket, v int) (int, error) { return v, nil })
	server.Reply(n, "echo", func(_ *server.Socket, v int) (int, error) { return v, nil })
	c, _ := join(t, n)
	c.join("/a")
	other, _ := join(t, n)
	c.send(`421["block"]`)
	s := recv(t, blocked)

	answer := make(chan error, 1)
	go func() {
		v, err := server.Call[int](t.Context(), s, "question")
		if err == nil && v != 7 {
			err = fmt.Errorf("answer %d", v)
		}
		answer <- err
	}()
	p := c.next()
	c.send("43" + strings.TrimSuffix(strings.TrimPrefix(p, "2"), `["question"]`) + "[7]")
	must(t, recv(t, answer))
	c.send(`42/a,3["echo",3]`)
	c.want("3/a,3[3]")
	other.send(`424["echo",4]`)
	other.want("34[4]")
	sent := n.Stats().PingTimeouts
	time.Sleep(300 * time.Millisecond) // several pings
	must(t, s.Emit("alive"))
	c.want(event("alive"))
	if n.Stats().PingTimeouts != sent {
		t.Error("a ping timed out")
	}
	close(release)
	c.want(`31["released"]`)
}

func TestSeveralHandlersRunInOrder(t *testing.T) {
	n := start(t)
	got := make(chan string, 10)
	add := func(name string) func(*server.Event) error {
		return func(*server.Event) error { got <- name; return errors.New(name + " failed") }
	}
	n.Handle("x", add("first"))
	n.Handle("x", add("second"))
	n.OnConnection(func(s *server.Socket) {
		if _, ok := server.Data[any](s); !ok {
			s.Handle("x", add("socket"))
			s.Handle("y", add("own"))
		}
	})
	c, _ := join(t, n)
	c.send(`42["x"]`, `42["y"]`)
	for _, want := range []string{"first", "second", "socket", "own"} {
		if v := recv(t, got); v != want {
			t.Errorf("handler %q ran, want %q", v, want)
		}
	}
	eventually(t, "errors are counted", func() bool { return n.Stats().HandlerErrors == 4 })
	// What is registered later concerns clients that are connected.
	n.Handle("z", add("later"))
	c.send(`42["z"]`)
	if v := recv(t, got); v != "later" {
		t.Errorf("handler %q ran", v)
	}
}

func TestHandlersMayBeRegisteredWhileEventsCome(t *testing.T) {
	n := start(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			n.Handle(fmt.Sprint("e", i), func(*server.Event) error { return nil })
			n.Use(func(*server.Socket) error { return nil })
		}
	})
	c, _ := join(t, n)
	for i := range 200 {
		c.send(fmt.Sprintf(`42["e%d"]`, i))
	}
	wg.Wait()
	eventually(t, "all have been handled", func() bool { return n.Stats().Events == 200 })
}

func TestPanicsAndErrorsAreContained(t *testing.T) {
	var log logs
	type report struct {
		s     *server.Socket
		event string
		err   error
	}
	reports := make(chan report, 10)
	n := start(t, server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		server.WithErrorHandler(func(s *server.Socket, event string, err error) {
			reports <- report{s, event, err}
			panic("in the hook")
		}))
	cause := errors.New("broken")
	n.Handle("panic", func(*server.Event) error { panic("at the disco") })
	n.Handle("fail", func(*server.Event) error { return cause })
	n.OnConnection(func(*server.Socket) { panic("on connection") })
	n.OnDisconnect(func(*server.Socket, server.Reason) { panic("on disconnect") })
	c, id := join(t, n)
	c.send(`42["panic"]`, `42["fail"]`, "41")
	for i, event := range []string{"connection", "panic", "fail", "disconnect"} {
		r := recv(t, reports)
		if r.event != event || r.s.ID() != id {
			t.Errorf("report %d is of %q", i, r.event)
		}
		var p *server.PanicError
		switch {
		case event == "fail" && r.err != cause:
			t.Errorf("error %v", r.err)
		case event != "fail" && (!errors.As(r.err, &p) || !strings.Contains(string(p.Stack), "events_test.go")):
			t.Errorf("panic reported as %v", r.err)
		}
	}
	eventually(t, "all is counted", func() bool {
		st := n.Stats()
		return st.HandlerErrors == 4 && st.Panics == 3
	})
	for _, want := range []string{"at the disco", "events_test.go", "broken", "event=panic", id} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
	c.join("/")
}

// A test of a user may call t.FailNow in a handler, which ends the goroutine.
func TestHandlerThatEndsItsGoroutine(t *testing.T) {
	n := start(t)
	n.Handle("exit", func(*server.Event) error { runtime.Goexit(); return nil })
	server.Reply(n, "echo", func(_ *server.Socket, v int) (int, error) { return v, nil })
	c, _ := join(t, n)
	c.send(`42["exit"]`, `421["echo",1]`)
	c.want("31[1]")
}

func TestErrorsOfADisconnectedClientAreNoNews(t *testing.T) {
	n := start(t, server.WithErrorHandler(func(_ *server.Socket, _ string, err error) { t.Errorf("reported: %v", err) }))
	blocked := make(chan struct{})
	n.Handle("wait", func(e *server.Event) error {
		close(blocked)
		<-e.Socket().Context().Done()
		return fmt.Errorf("query: %w", e.Socket().Context().Err())
	})
	n.Handle("emit", func(e *server.Event) error { return e.Socket().Emit("x") })
	c, _ := join(t, n)
	c.send(`42["wait"]`, `42["emit"]`, "41")
	recv(t, blocked)
	eventually(t, "both are handled", func() bool { return n.Stats().Events == 2 })
}

func TestUnhandledEventsAreCounted(t *testing.T) {
	n := start(t)
	c, _ := join(t, n)
	c.send(`42["nobody",1]`)
	eventually(t, "it is counted", func() bool { return n.Stats().Unhandled == 1 && n.Stats().Events == 1 })
}

func TestReservedNamesHaveNoHandlers(t *testing.T) {
	told := make(chan string, 10)
	n := start(t, server.WithErrorHandler(func(s *server.Socket, event string, err error) {
		if s != nil || !errors.Is(err, server.ErrReservedEvent) {
			t.Errorf("reported %v", err)
		}
		told <- event
	}))
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		n.Handle(name, func(*server.Event) error { t.Error("called"); return nil })
		if got := recv(t, told); got != name {
			t.Errorf("told of %q", got)
		}
		if err := n.Emit(name); !errors.Is(err, server.ErrReservedEvent) {
			t.Errorf("Emit: %v", err)
		}
	}
}

// The name is set when the first handler is found; handlers may share the event.
func TestEventMayBeSharedWhileHandlersRun(t *testing.T) {
	n := start(t)
	var wg sync.WaitGroup
	n.Handle("x", func(e *server.Event) error {
		wg.Go(func() {
			for range 1000 {
				if e.Name() != "x" {
					t.Error("the event lost its name")
				}
			}
		})
		return nil
	})
	done := make(chan struct{})
	n.OnConnection(func(s *server.Socket) {
		s.Handle("x", func(*server.Event) error { close(done); return nil })
	})
	c, _ := join(t, n)
	c.send(`42["x"]`)
	recv(t, done)
	wg.Wait()
}

// panicLog is a slog.Handler that panics.
type panicLog struct{ slog.Handler }

func (panicLog) Enabled(context.Context, slog.Level) bool  { return true }
func (panicLog) Handle(context.Context, slog.Record) error { panic("in the log") }

func TestLoggerThatPanics(t *testing.T) {
	n := start(t, server.WithLogger(slog.New(panicLog{slog.DiscardHandler})))
	n.Handle("fail", func(*server.Event) error { return errors.New("failed") })
	server.Reply(n, "echo", func(_ *server.Socket, v int) (int, error) { return v, nil })
	c, _ := join(t, n)
	c.send(`42["fail"]`, `421["echo",1]`)
	c.want("31[1]")
}
