package server_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/server"
)

// drained joins clients and notes when each is disconnected.
func drained(t *testing.T, n *node, clients int) (all []*client, ends func() []time.Duration) {
	var (
		mu   sync.Mutex
		list []time.Duration
	)
	from := time.Now()
	n.OnDisconnect(func(_ *server.Socket, r server.Reason) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, time.Since(from))
		if r != server.ReasonServerShuttingDown {
			t.Errorf("reason %q", r)
		}
	})
	for range clients {
		c, _ := join(t, n)
		all = append(all, c)
	}
	return all, func() []time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return list
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t)
		clients, ends := drained(t, n, 10)
		must(t, n.Ready(t.Context()))
		done := make(chan error, 1)
		go func() { done <- n.Drain(t.Context(), 20*time.Second) }()
		synctest.Wait()
		if err := n.Ready(t.Context()); !errors.Is(err, server.ErrClosed) {
			t.Errorf("Ready: %v", err)
		}
		if _, err := tryDial(n); err == nil {
			t.Error("a new client was let in")
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		if got := len(ends()); got != 5 {
			t.Errorf("%d of 10 clients are gone after half of the time", got)
		}
		must(t, n.Emit("still served"))
		must(t, recv(t, done))
		for i, d := range ends() {
			if want := time.Duration(i+1) * 2 * time.Second; d < want || d > want+100*time.Millisecond {
				t.Errorf("client %d of 10 was disconnected after %v", i+1, d)
			}
		}
		told := 0
		for _, c := range clients {
			c.gone() // by a close frame alone, without a DISCONNECT packet
			for len(c.packets) > 0 {
				c.want(event("still served"))
				told++
			}
		}
		if st := n.Stats(); told != 5 || st.Sessions != 0 || st.Sockets != 0 {
			t.Errorf("%d clients were served meanwhile, %d sessions are left", told, st.Sessions)
		}
	})
}

func TestDrainEndsEarly(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, n *node, clients []*client, cancel func()){
		"clients leave": func(_ *testing.T, _ *node, clients []*client, _ func()) {
			for _, c := range clients {
				_ = c.conn.Close()
			}
		},
		"context":  func(_ *testing.T, _ *node, _ []*client, cancel func()) { cancel() },
		"Shutdown": func(t *testing.T, n *node, _ []*client, _ func()) { must(t, n.Shutdown(context.Background())) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := startInBubble(t)
				var clients []*client
				for range 8 {
					c, _ := join(t, n)
					clients = append(clients, c)
				}
				from := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- n.Drain(ctx, 80*time.Second) }()
				time.Sleep(25 * time.Second) // two clients are gone
				end(t, n, clients, cancel)
				err := recv(t, done)
				if d := time.Since(from); d > 45*time.Second {
					t.Errorf("drained for %v", d)
				}
				if name != "context" {
					must(t, err)
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("Drain: %v", err)
				}
				for _, c := range clients {
					c.gone()
				}
			})
		})
	}
}

func TestDrainWithoutClientsOrWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startInBubble(t)
		must(t, n.Drain(t.Context(), time.Hour))
		must(t, n.Drain(t.Context(), time.Hour))
		n = startInBubble(t)
		c, _ := join(t, n)
		at := time.Now()
		must(t, n.Drain(t.Context(), 0))
		c.gone()
		if d := time.Since(at); d > time.Second {
			t.Errorf("drained for %v", d)
		}
	})
}

// A client that polls goes on until its turn, and is told by its poll; it is
// refused when it comes back.
func TestDrainOfPolling(t *testing.T) {
	n := start(t)
	p := poll(t, n)
	p.post("40")
	p.get()
	done := make(chan error, 1)
	go func() { done <- n.Drain(t.Context(), 200*time.Millisecond) }()
	eventually(t, "it drains", func() bool { return n.Ready(t.Context()) != nil })
	if body, status := p.get(); status != http.StatusOK || body != "1" {
		t.Errorf("poll answered with %d %q", status, body)
	}
	res, _ := request(t, n, "GET", pollingHandshake)
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	must(t, recv(t, done))
}
