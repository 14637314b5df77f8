package server_test

import (
	"sync"
	"testing"

	"github.com/roomspan/roomspan/server"
)

// An event may be given to another goroutine by whoever sees it first: a
// middleware or a catch-all handler, before the handlers of its name are looked
// for.
func TestNameOfAnEventThatAnotherGoroutineHas(t *testing.T) {
	for _, by := range []string{"middleware", "catch-all"} {
		t.Run(by, func(t *testing.T) {
			n := start(t)
			var wg sync.WaitGroup
			names := make(chan string, 100)
			look := func(e *server.Event) { wg.Go(func() { names <- e.Name() }) }
			if by == "middleware" {
				n.UseEvent(func(e *server.Event, next func() error) error { look(e); return next() })
			} else {
				n.OnAny(func(e *server.Event) error { look(e); return nil })
			}
			n.Handle("x", func(*server.Event) error { return nil })
			c, _ := join(t, n)
			for range 100 {
				c.send(`42["x"]`)
			}
			for range 100 {
				if name := recv(t, names); name != "x" {
					t.Errorf("name %q", name)
				}
			}
			wg.Wait()
		})
	}
}
