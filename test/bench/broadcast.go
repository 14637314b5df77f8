package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// broadcast lets the first client send to all, so many messages in flight: the
// next one goes out when all clients have got one. Every client checks that
// each comes once and in order.
type broadcast struct {
	*traffic
	clients  []*client
	inFlight int
	message  func(n int) []byte
	counted  bool // messages are compressed: they are counted, and not looked into

	slots    []slot
	free     chan struct{} // one element for each message that may be sent
	broken   chan struct{} // closed at the first failure
	finished atomic.Bool
}

// slot is one message in flight.
type slot struct {
	sent    atomic.Int64 // Unix nanoseconds
	missing atomic.Int64 // clients that have not got it
}

func (t *traffic) broadcast(clients []*client, inFlight int) *broadcast {
	b := &broadcast{
		traffic:  t,
		clients:  clients,
		inFlight: inFlight,
		message:  func(n int) []byte { return numbered(fmt.Sprintf(`42["bcast",%d,"`, n), n, payloadSize) },
		slots:    make([]slot, inFlight),
		free:     make(chan struct{}, inFlight),
		broken:   make(chan struct{}),
	}
	for range inFlight {
		b.free <- struct{}{}
	}
	return b
}

// start begins, and returns what waits for the end.
func (b *broadcast) start() (wait func()) {
	var readers sync.WaitGroup
	for _, c := range b.clients {
		readers.Go(func() { b.receive(c) })
	}
	return func() {
		b.send()
		b.finished.Store(true)
		closeAll(b.clients)
		readers.Wait()
	}
}

func (b *broadcast) send() {
	first := b.clients[0]
	for n := 0; ; n++ {
		if !b.next() || b.ending.Load() {
			break
		}
		s := &b.slots[n%b.inFlight]
		s.missing.Store(int64(len(b.clients)))
		s.sent.Store(time.Now().UnixNano())
		// Readers of the first client never write but to answer a ping: the
		// frame goes out whole, in one call.
		if _, err := first.net.Write(appendFrame(nil, 1, b.message(n))); err != nil {
			b.fail(err)
			return
		}
	}
	for range b.inFlight - 1 { // all that is under way must come, one place is ours
		if !b.next() {
			return
		}
	}
}

// next waits until a message may be sent.
func (b *broadcast) next() bool {
	select {
	case <-b.free:
		return true
	case <-b.broken:
		return false
	}
}

func (b *broadcast) receive(c *client) {
	var latencies []time.Duration
	defer func() { b.keep(latencies) }()
	for n := 0; ; n++ {
		p, err := c.read()
		if err == nil && !b.counted {
			var m int
			if m, err = numberAfter(p, `42["msg",`); err == nil && m != n {
				err = fmt.Errorf("broadcast %d came where %d was due", m, n)
			}
		}
		if err != nil {
			if b.finished.CompareAndSwap(false, true) {
				b.fail(err)
				close(b.broken)
			}
			return
		}
		s := &b.slots[n%b.inFlight]
		b.count.Add(1)
		if (n%8 == 0 || len(b.clients) >= 1000) && b.measured.Load() {
			latencies = append(latencies, time.Duration(time.Now().UnixNano()-s.sent.Load()))
		}
		if s.missing.Add(-1) == 0 {
			b.free <- struct{}{}
		}
	}
}
