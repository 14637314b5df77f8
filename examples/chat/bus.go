package main

import (
	"sync"

	"github.com/alicebob/miniredis/v2"
)

// bus is the Redis between the nodes: one of the user's, or one that is
// embedded in this process and can be stopped.
type bus struct {
	url  string
	mini *miniredis.Miniredis // nil if the Redis is the user's

	mu      sync.Mutex
	running bool
	watch   []func(running bool)
}

func openBus(url string) (*bus, error) {
	if url != "" {
		return &bus{url: url, running: true}, nil
	}
	mini, err := miniredis.Run()
	if err != nil {
		return nil, err
	}
	return &bus{url: "redis://" + mini.Addr(), mini: mini, running: true}, nil
}

func (b *bus) embedded() bool { return b.mini != nil }

// onChange has f called after each stop and start.
func (b *bus) onChange(f func(running bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watch = append(b.watch, f)
}

func (b *bus) state() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

// set stops the embedded Redis, cutting its connections, or starts it again
// on the same port.
func (b *bus) set(running bool) error {
	b.mu.Lock()
	if b.running == running {
		b.mu.Unlock()
		return nil
	}
	if running {
		if err := b.mini.Restart(); err != nil {
			b.mu.Unlock()
			return err
		}
	} else {
		b.mini.Close()
	}
	b.running = running
	watch := b.watch
	b.mu.Unlock()
	for _, f := range watch {
		f(running)
	}
	return nil
}

func (b *bus) close() {
	if b.mini != nil {
		_ = b.set(false)
	}
}
