//go:build unix

package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// What an emitter says while Redis is away is sent when the nodes hear again,
// which may take longer than it does.
func TestEmitterOutage(t *testing.T) {
	t.Parallel()
	for _, f := range everyFamily {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t, "--appendonly", "yes", "--appendfsync", "always") // for streams
			n := start(t, redis.New(r.url(), f.opts...), nodeOptions{rooms: []string{"room"}}).ready()
			e := start(t, redis.New(r.url(), f.opts...), nodeOptions{emits: true}).ready()
			e.emit(`["n",0]`, "room")
			n.wait(`["n",0]`)
			for round := 1; round < 4; round++ {
				r.stop()
				eventually(t, "the loss is noticed", func() bool { return !e.backend.Stats().Connected && !n.backend.Stats().Connected })
				text := fmt.Sprintf(`["n",%d]`, round)
				e.emit(text, "room")
				// The pauses of both grow, and part.
				time.Sleep(time.Second)
				r.restart()
				n.wait(text)
				e.ready()
				n.ready()
			}
		})
	}
}

// An emitter that is alone has nobody to wait for.
func TestEmitterAlone(t *testing.T) {
	t.Parallel()
	for _, f := range everyFamily {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			e := start(t, redis.New(runProcess(t).url(), f.opts...), nodeOptions{emits: true}).ready()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if infos, err := e.adapter.FetchSockets(ctx, adapter.Selector{}); len(infos) != 0 || err != nil {
				t.Errorf("%d sockets, %v", len(infos), err)
			}
		})
	}
}
