package server_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server"
)

// TestRecoveryLedger cuts clients off, packets under way, while numbered events
// are sent in every manner: who is recovered has each of them once and in
// order.
func TestRecoveryLedger(t *testing.T) {
	const clients, cuts = 4, 15
	n := start(t, recovering)
	var present sync.Map // of sockets, by id
	n.OnConnection(func(s *server.Socket) {
		s.Join("room")
		present.Store(s.ID(), s)
	})
	n.OnDisconnect(func(s *server.Socket, _ server.Reason) { present.Delete(s.ID()) })
	stop := make(chan struct{})
	var sender, all sync.WaitGroup
	sender.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			switch i % 3 {
			case 0:
				must(t, n.Emit("n", i))
			case 1:
				must(t, n.To("room").Emit("n", i))
			default:
				present.Range(func(_, s any) bool {
					_ = s.(*server.Socket).Volatile().Emit("volatile", i)
					_ = n.To(s.(*server.Socket).ID()).Emit("own")
					return true
				})
			}
			time.Sleep(50 * time.Microsecond)
		}
	})
	guests := make([]*guest, clients)
	for i := range guests {
		guests[i] = visit(t, n, nil)
	}
	recovered := make([]int, clients)
	for i := range guests {
		all.Go(func() {
			g, last := guests[i], -1
			for cut := range cuts {
				for range 20 + rand.IntN(100) {
					last = g.number(last)
				}
				_ = g.conn.Close()
				if cut%3 > 0 { // else the server may not have noticed yet
					eventually(t, "the server knows", func() bool { _, ok := present.Load(g.sid); return !ok })
				}
				back := visit(t, n, g)
				if back.sid == g.sid {
					recovered[i]++
				} else {
					last = -1
				}
				g = back
			}
		})
	}
	all.Wait()
	close(stop)
	sender.Wait()
	t.Log("recovered:", recovered)
	for i, times := range recovered {
		if times < cuts/3 {
			t.Errorf("client %d was recovered %d times", i, times)
		}
	}
}

// number reads up to the next number, which must follow last, and returns it.
// The numbers leave out every third.
func (g *guest) number(last int) int {
	for {
		p := g.next()
		var i int
		if n, _ := fmt.Sscanf(p, `2["volatile",%d]`, &i); n == 1 {
			continue
		}
		if n, _ := fmt.Sscanf(p, `2["own",%q]`, &g.offset); n == 1 {
			continue
		}
		if n, _ := fmt.Sscanf(p, `2["n",%d,%q]`, &i, &g.offset); n != 2 {
			g.t.Errorf("got %s", p)
			return last
		}
		want := last + 1
		if want%3 == 2 {
			want++
		}
		if last >= 0 && i != want {
			g.t.Errorf("got %d after %d", i, last)
		}
		return i
	}
}
