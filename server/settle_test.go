package server_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server"
)

// settling is a back-end on which rooms are heard when the test says so.
type settling struct {
	adapter.Backend
	asked chan []string
	heard chan struct{}
}

func (b *settling) Open(h adapter.Host) (adapter.Adapter, error) {
	a, err := b.Backend.Open(h)
	return &settler{a, b}, err
}

type settler struct {
	adapter.Adapter
	backend *settling
}

func (s *settler) Settle(rooms ...string) {
	s.backend.asked <- slices.Clone(rooms)
	<-s.backend.heard
}

// TestSettle holds that neither a client nor the program goes on before a room
// is heard from other nodes.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &settling{adapter.Memory(), make(chan []string), make(chan struct{})}
		n := startInBubble(t, server.WithAdapter(b))
		n.Use(func(s *server.Socket) error {
			s.Join("early") // is no member yet
			return nil
		})
		server.On(n, "join", func(s *server.Socket, room string) error {
			s.Join(room)
			return s.Emit("joined")
		})
		server.On(n, "joinAll", func(s *server.Socket, room string) error {
			if err := n.Join(room); err != nil {
				return err
			}
			return s.Emit("joined")
		})
		c := dial(t, n)
		rests := func(want ...string) {
			t.Helper()
			got := <-b.asked
			if len(want) == 0 { // the answer has the id
				want = []string{got[0], "early"}
			}
			if !slices.Equal(got, want) {
				t.Errorf("waits for %q, want %q", got, want)
			}
			synctest.Wait()
			if len(c.packets) > 0 {
				t.Errorf("sent %q before the room is heard", c.next())
			}
			b.heard <- struct{}{}
		}
		c.send("40")
		rests()
		c.next()
		c.send(`42["join","a"]`, `42["joinAll","b"]`)
		rests("a")
		c.want(event("joined"))
		rests("b")
		c.want(event("joined"))
	})
}
