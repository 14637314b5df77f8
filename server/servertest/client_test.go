package servertest_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/servertest"
)

func TestDisconnected(t *testing.T) {
	for name, tt := range map[string]struct {
		end    func(*server.Server, *servertest.Client)
		client string
		server server.Reason
	}{
		"client": {func(_ *server.Server, c *servertest.Client) { c.Close(); c.Close() },
			"io client disconnect", server.ReasonClientDisconnect},
		"socket": {func(s *server.Server, _ *servertest.Client) { s.Disconnect(false) },
			"io server disconnect", server.ReasonServerDisconnect},
		"connection": {func(s *server.Server, _ *servertest.Client) { s.Disconnect(true) },
			"io server disconnect", server.ReasonServerDisconnect},
		"shutdown": {func(s *server.Server, _ *servertest.Client) { _ = s.Shutdown(context.Background()) },
			"transport close", server.ReasonServerShuttingDown},
	} {
		t.Run(name, func(t *testing.T) {
			io := servertest.New(t)
			reasons := make(chan server.Reason, 1)
			io.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
			c := servertest.Connect(t, io)
			if err := io.Emit("before"); err != nil {
				t.Fatal(err)
			}
			servertest.None(t, c, "other") // "before" has come
			tt.end(io, c)
			if got := c.Disconnected(); got != tt.client {
				t.Errorf("the client got %q, want %q", got, tt.client)
			}
			if got := <-reasons; got != tt.server {
				t.Errorf("the server got %q, want %q", got, tt.server)
			}
			servertest.Next[any](t, c, "before") // what has come stays
			c.Close()
			if p := io.Stats().ProtocolErrors; p != 0 {
				t.Errorf("%d protocol errors", p)
			}
		})
	}
}

func TestServerOutlivesItsClients(t *testing.T) {
	io := servertest.New(t)
	if got := failures(func(t testing.TB) { servertest.Connect(t, io) }); got != nil {
		t.Errorf("failed with %q", got)
	}
	servertest.Connect(t, io)
}

func TestFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		test  func(testing.TB, *server.Server, *servertest.Client)
		texts []string
	}{
		"no event": {func(t testing.TB, io *server.Server, c *servertest.Client) {
			_ = io.Emit("came", 1)
			servertest.Next[int](t, c, "missed")
		}, []string{`no event "missed": none came within 5s; not taken: ["came",1]`}},
		"no event any more": {func(t testing.TB, _ *server.Server, c *servertest.Client) {
			c.Close()
			servertest.Next[int](t, c, "missed")
		}, []string{"disconnected (io client disconnect); not taken: nothing"}},
		"event of another type": {func(t testing.TB, io *server.Server, c *servertest.Client) {
			_ = io.Emit("came", "text")
			servertest.Next[int](t, c, "came")
		}, []string{`event "came": server: argument 0:`, `got ["came","text"]`}},
		"no answer": {func(t testing.TB, _ *server.Server, c *servertest.Client) {
			servertest.Call[int](t, c, "unknown")
		}, []string{`call "unknown": server: no acknowledgement in time`}},
		"an error for an answer": {func(t testing.TB, _ *server.Server, c *servertest.Client) {
			servertest.Call[map[string]string](t, c, "fail")
		}, []string{`call "fail": internal error`}},
		"connected": {func(_ testing.TB, _ *server.Server, c *servertest.Client) {
			c.Disconnected()
		}, []string{"not disconnected within 5s"}},
		"emit after the end": {func(_ testing.TB, _ *server.Server, c *servertest.Client) {
			c.Close()
			c.Emit("late")
		}, []string{`emit "late": server: socket disconnected`}},
		"emit what cannot be encoded": {func(_ testing.TB, _ *server.Server, c *servertest.Client) {
			c.Emit("x", make(chan int))
		}, []string{`emit "x": argument 0 of type chan int`}},
		"handle another type": {func(_ testing.TB, io *server.Server, c *servertest.Client) {
			servertest.Handle(c, "q", func(int) int { return 0 })
			_ = io.Emit("q", "text")
			synctest.Wait()
		}, []string{`event "q": server: argument 0`, `got ["q","text"]`}},
		"handle without an answer": {func(_ testing.TB, io *server.Server, c *servertest.Client) {
			servertest.Handle(c, "q", func(any) func() { return nil })
			_, _ = server.CallAll[any](context.Background(), io.Target, "q")
		}, []string{`event "q": argument 0 of type func()`}},
		"handle with a panic": {func(t testing.TB, io *server.Server, c *servertest.Client) {
			servertest.Handle(c, "q", func(n int) int { return 1 / n })
			_ = io.Emit("q", 0)
			if all, err := server.CallAll[int](context.Background(), io.Target, "q", 1); len(all) != 1 {
				t.Errorf("got %v, %v", all, err)
			}
		}, []string{`event "q": runtime error: integer divide by zero`, "client_test.go"}},
		"handle with a fatal failure": {func(t testing.TB, io *server.Server, c *servertest.Client) {
			servertest.Handle(c, "q", func(n int) int {
				if n == 0 {
					t.Fatalf("zero")
				}
				return n
			})
			_ = io.Emit("q", 0)
			if all, err := server.CallAll[int](context.Background(), io.Target, "q", 1); len(all) != 1 {
				t.Errorf("got %v, %v", all, err)
			}
		}, []string{"zero"}},
		"handle without an end": {func(t testing.TB, io *server.Server, c *servertest.Client) {
			servertest.Handle(c, "q", func(any) any { time.Sleep(time.Minute); return nil })
			_ = io.Emit("q")
			synctest.Wait()
		}, []string{"a function of Handle has not returned"}},
		"too much that nobody takes": {func(t testing.TB, io *server.Server, c *servertest.Client) {
			for i := range 101 {
				for range 100 {
					_ = io.Emit("flood", i)
				}
				synctest.Wait()
			}
			if reason := c.Disconnected(); reason != "parse error" {
				t.Errorf("reason %q", reason)
			}
		}, []string{"more than 10000 events have not been taken"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wantFailure(t, failures(func(t testing.TB) {
					io := servertest.New(t)
					server.On(io, "fail", func(*server.Socket, any) error { return errors.New("secret") })
					tt.test(t, io, servertest.Connect(t, io))
				}), tt.texts...)
				time.Sleep(time.Hour) // ends what the test has left running
			})
		})
	}
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := servertest.New(t)
		server.Reply(io, "still there?", func(*server.Socket, any) (string, error) { return "yes", nil })
		c := servertest.Connect(t, io)
		start := time.Now()
		time.Sleep(time.Hour)
		if got := servertest.Call[string](t, c, "still there?"); got != "yes" {
			t.Errorf("got %q", got)
		}
		if n := io.Stats().PingTimeouts; n != 0 {
			t.Errorf("%d ping timeouts", n)
		}
		if d := time.Since(start); d > time.Hour+time.Second {
			t.Errorf("the call took %v", d-time.Hour)
		}
	})
}

// A client and a server that both send all the time, over a pipe without a
// buffer, must not wait for each other, also while the handlers of the server
// are slow, and wait for answers of the client.
func TestNoDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		io := servertest.New(t, server.WithInboundLimit(4, 1<<20))
		server.On(io, "work", func(s *server.Socket, n int) error {
			time.Sleep(time.Millisecond)
			answer, err := server.Call[int](s.Context(), s, "check", n)
			if err != nil {
				return err
			}
			return s.Emit("worked", answer)
		})
		c := servertest.Connect(t, io)
		servertest.Handle(c, "check", func(n int) int { return n })
		const n = 60 // within 16 times the limit
		for i := range n {
			c.Emit("work", i)
		}
		for i := range n {
			if got := servertest.Next[int](t, c, "worked"); got != i {
				t.Fatalf("got %d, want %d", got, i)
			}
		}
	})
}

func TestClientsAreIndependent(t *testing.T) {
	io := servertest.New(t)
	server.Reply(io, "id", func(s *server.Socket, _ any) (string, error) { runtime.Gosched(); return s.ID(), nil })
	for range 8 {
		t.Run("", func(t *testing.T) {
			c := servertest.Connect(t, io)
			done := make(chan struct{})
			for range 4 {
				go func() {
					defer func() { done <- struct{}{} }()
					for range 20 {
						if id, err := servertest.TryCall[string](c, "id"); err != nil || id != c.ID() {
							t.Errorf("got %q, %v; want %q", id, err, c.ID())
						}
					}
				}()
			}
			for range 4 {
				<-done
			}
		})
	}
}
