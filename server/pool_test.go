package server_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/server"
)

// workersAlive counts the goroutines that serve sockets, or rest.
func workersAlive() int {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), "server.(*pool).run(")
}

// Handlers that are busy at the same time have a worker each. Afterwards the
// workers rest for a while, are used again, and end when nobody needs them.
func TestWorkersRestAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t)
		release := make(chan struct{})
		server.On(n, "wait", func(*server.Socket, any) error { <-release; return nil })
		server.Reply(n, "echo", func(_ *server.Socket, v int) (int, error) { return v, nil })
		clients := make([]*client, 20)
		for i := range clients {
			clients[i], _ = join(t, n)
			clients[i].send(`42["wait",1]`)
		}
		synctest.Wait()
		// One that is about to rest may be passed over, so that there is one more.
		enough := workersAlive()
		if enough < len(clients) {
			t.Errorf("%d workers for %d busy handlers", enough, len(clients))
		}
		close(release)
		for range 10 {
			for _, c := range clients {
				c.send(`421["echo",1]`)
				c.want("31[1]")
			}
			synctest.Wait()
			if got := workersAlive(); got > enough {
				t.Errorf("%d workers after %d were enough", got, enough)
			}
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := workersAlive(); got != 0 {
			t.Errorf("%d workers that nobody needs", got)
		}
		clients[0].send(`422["echo",2]`)
		clients[0].want("32[2]")
	})
}

// However many handlers were busy, no more than a few hundred workers rest.
func TestFewWorkersRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t)
		release := make(chan struct{})
		server.On(n, "wait", func(*server.Socket, any) error { <-release; return nil })
		busy := 64*runtime.GOMAXPROCS(0) + 50
		for range busy {
			c, _ := join(t, n)
			c.send(`42["wait",1]`)
		}
		synctest.Wait()
		if got := workersAlive(); got < busy {
			t.Errorf("%d workers for %d busy handlers", got, busy)
		}
		close(release)
		synctest.Wait()
		if got, most := workersAlive(), 64*runtime.GOMAXPROCS(0); got == 0 || got > most {
			t.Errorf("%d workers rest, of at most %d", got, most)
		}
	})
}
