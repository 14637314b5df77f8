package server_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/server"
)

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t, server.WithRateLimit(2, 5))
		var got []int
		server.Reply(n, "x", func(_ *server.Socket, i int) (int, error) {
			got = append(got, i)
			return i, nil
		})
		c, _ := join(t, n)
		ask := func(i int) string {
			c.send(fmt.Sprintf(`42%d["x",%d]`, i, i))
			return c.next()
		}
		allowed := func(i int, want bool) {
			t.Helper()
			answer := fmt.Sprintf("3%d[%d]", i, i)
			if !want {
				answer = fmt.Sprintf(`3%d[{"error":"rate limit"}]`, i)
			}
			if a := ask(i); a != answer {
				t.Errorf("answer %s, want %s", a, answer)
			}
		}
		for i := range 8 { // the burst, and three too many
			allowed(i, i < 5)
		}
		time.Sleep(500 * time.Millisecond) // one more
		allowed(8, true)
		allowed(9, false)
		time.Sleep(time.Hour) // a burst, and no more
		for i := 10; i < 16; i++ {
			allowed(i, i < 15)
		}
		if st := n.Stats(); st.RateLimited != 5 || len(got) != 11 || st.Sockets != 1 {
			t.Errorf("%d events refused, %d handled, %d sockets", st.RateLimited, len(got), st.Sockets)
		}
	})
}

// Ten or burst events refused in a row are the end; the other namespace of the
// client has a bucket of its own.
func TestRateLimitDisconnects(t *testing.T) {
	for _, tt := range []struct{ burst, refused int }{{1, 10}, {10, 10}, {50, 50}} {
		synctest.Test(t, func(t *testing.T) {
			n := startInBubble(t, server.WithRateLimit(1, tt.burst))
			other := n.of(t, "/other")
			reasons := make(chan server.Reason, 1)
			n.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
			c, _ := join(t, n)
			c.join("/other")
			for range tt.burst + tt.refused - 1 {
				c.send(`42["x"]`)
			}
			synctest.Wait()
			if st := n.Stats(); st.RateLimited != uint64(tt.refused-1) || st.Sockets != 2 || int(st.Events) != tt.burst {
				t.Errorf("%d events refused, %d sockets, %d events", st.RateLimited, st.Sockets, st.Events)
			}
			c.send(`42["x"]`, `42["late"]`)
			c.want("1")
			if r := recv(t, reasons); r != server.ReasonRateLimit {
				t.Errorf("reason %q", r)
			}
			must(t, other.Emit("still here"))
			c.want("2/other," + event("still here")[1:])
			c.join("/")
		})
	}
}

// Acknowledgements are no events.
func TestRateLimitSparesAcks(t *testing.T) {
	n := start(t, server.WithRateLimit(0.001, 1))
	connected := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { connected <- s })
	c, _ := join(t, n)
	s := recv(t, connected)
	for range 20 {
		answered := make(chan error, 1)
		go func() {
			_, err := s.EmitWithAck(t.Context(), "q")
			answered <- err
		}()
		c.send("43" + c.ackID("q") + "[]")
		must(t, recv(t, answered))
	}
}
