package server_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
)

// Clients go away at every step of their lives, by themselves or because the
// server ends them, while broadcasts run. Afterwards nothing of them is left.
func TestClientsDisconnectAtEveryStep(t *testing.T) {
	rounds := 40
	if os.Getenv("ROOMSPAN_TEST_FULL") != "" {
		rounds = 400
	}
	before := runtime.NumGoroutine()
	n := start(t)
	var connected, disconnected atomic.Int64
	twice := new(sync.Map)
	a := n.of(t, "/a")
	for _, ns := range []*server.Namespace{n.Namespace, a} {
		ns.Use(func(s *server.Socket) error {
			s.Join("lobby")
			if rand.IntN(4) == 0 {
				time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			}
			return nil
		})
		ns.OnConnection(func(s *server.Socket) {
			connected.Add(1)
			s.Join("room")
			_ = ns.To("room").Emit("joined", s.ID())
		})
		ns.OnDisconnect(func(s *server.Socket, r server.Reason) {
			disconnected.Add(1)
			if _, again := twice.LoadOrStore(s, r); again {
				t.Error("OnDisconnect was called twice")
			}
			if s.Join("late"); s.Connected() {
				t.Error("connected in OnDisconnect")
			}
		})
		server.Reply(ns, "ask", func(s *server.Socket, i int) (int, error) {
			return server.Call[int](s.Context(), s, "back", i)
		})
		ns.Handle("kick", func(e *server.Event) error { e.Socket().Disconnect(rand.IntN(2) == 0); return nil })
	}
	stop := make(chan struct{})
	var load, clients sync.WaitGroup
	load.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_ = n.To("room").Except("none").Emit("tick", i)
				_ = a.Volatile().Emit("tick", i)
			}
		}
	})
	for range 8 {
		clients.Go(func() {
			for range rounds {
				liveAndDie(n)
			}
		})
	}
	clients.Wait()
	close(stop)
	load.Wait()
	eventually(t, "everything is back to zero", func() bool {
		st := n.Stats()
		return st.Sockets == 0 && st.Sessions == 0 && connected.Load() == disconnected.Load()
	})
	if found, err := n.To("late", "room", "lobby").Fetch(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("rooms have sockets that are gone: %v, %v", found, err)
	}
	if st := n.Stats(); st.Panics > 0 || connected.Load() == 0 {
		t.Errorf("%d panics, %d connections", st.Panics, connected.Load())
	}
	n.stop()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// liveAndDie is a client that takes some of the steps of a client's life and
// goes away in one of several manners.
func liveAndDie(n *node) {
	c, err := tryDial(n)
	if err != nil {
		return
	}
	go func() {
		defer close(c.done)
		for {
			f, err := readFrame(c.conn)
			if err != nil {
				return
			}
			if p := string(f.Payload); f.Header.OpCode == ws.OpText && len(p) > 2 && p[:2] == "42" && p[2] != '[' && p[2] != '/' {
				var id, v int
				if k, _ := fmt.Sscanf(p, `42%d["back",%d]`, &id, &v); k == 2 {
					c.send(fmt.Sprintf("43%d[%d]", id, v))
				}
			}
		}
	}()
	steps := []string{"40", "40/a,", `420["ask",7]`, `42/a,1["ask",7]`, `42["kick"]`, `41`, "40", `42/a,["kick"]`}
	for _, s := range steps[:rand.IntN(len(steps)+1)] {
		c.send(s)
		if rand.IntN(3) > 0 {
			time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond)
		}
	}
	switch rand.IntN(4) {
	case 0:
		c.send("1")
	case 1:
		c.send("4nonsense")
	case 2:
		c.write(ws.NewCloseFrame(nil))
	}
	_ = c.conn.Close()
	<-c.done
}
