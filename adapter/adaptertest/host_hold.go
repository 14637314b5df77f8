package adaptertest

import (
	"sync"

	"github.com/roomspan/roomspan/adapter"
)

// hold keeps answers back. A nil one keeps none.
type hold struct {
	open chan struct{}  // closed when they may go
	kept sync.WaitGroup // counts them; grows under the lock of whose hold it is
}

// begin sets the hold of a client or node, and returns what ends it.
func begin(mu *sync.Mutex, place **hold) (release func()) {
	h := &hold{open: make(chan struct{})}
	mu.Lock()
	defer mu.Unlock()
	*place = h
	return sync.OnceFunc(func() {
		mu.Lock()
		if *place == h {
			*place = nil
		}
		mu.Unlock()
		close(h.open)
		h.kept.Wait()
	})
}

// keep counts an answer that there may be, and returns h. The lock of whose hold
// it is is held.
func (h *hold) keep() *hold {
	if h != nil {
		h.kept.Add(1)
	}
	return h
}

// answered returns the answer of a client or node, which held has counted.
func answered(p *adapter.Packet, answer func(*adapter.Packet) *adapter.Packet, held *hold) *adapter.Packet {
	var a *adapter.Packet
	if answer != nil {
		a = answer(p)
	}
	if a == nil && held != nil {
		held.kept.Done()
	}
	return a
}

// give waits until the answer may go.
func (h *hold) give(a *adapter.Packet, to func(*adapter.Packet)) {
	defer h.kept.Done()
	<-h.open
	to(a)
}
