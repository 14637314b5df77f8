package redis

import (
	"fmt"
	"sync"

	"github.com/roomspan/roomspan/adapter"
)

// outgoing is a message on its way to Redis. It owns its payload.
type outgoing struct {
	channel string // or stream, or key
	payload []byte

	// request is the request channel of the namespace.
	request string

	// entry is set for what goes into a stream, session for what is kept
	// under a key.
	entry   *streamEntry
	session *session
}

// transient reports whether a message is for those alone who hear it now.
func (m outgoing) transient() bool { return m.entry == nil && m.session == nil }

func (m outgoing) size() int { return len(m.channel) + len(m.payload) }

// queue holds what waits to be published, within bounds. push may be called by
// anyone, take by the publisher alone.
type queue struct {
	maxMessages, maxBytes int

	// ready holds a token when there may be something to take.
	ready chan struct{}

	mu     sync.Mutex
	ring   []outgoing
	head   int
	count  int
	bytes  int
	closed bool

	transient int // how many are
}

func newQueue(maxMessages, maxBytes int) *queue {
	return &queue{maxMessages: maxMessages, maxBytes: maxBytes, ready: make(chan struct{}, 1)}
}

// push appends a message and returns how many old ones had to go for it. It
// never blocks.
func (q *queue) push(m outgoing) (dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, adapter.ErrClosed
	}
	if m.size() > q.maxBytes {
		return 1, fmt.Errorf("redis: a message of %d bytes is larger than the backlog", m.size())
	}
	for q.count == q.maxMessages || q.bytes+m.size() > q.maxBytes {
		q.pop()
		dropped++
	}
	if q.count == len(q.ring) {
		q.grow()
	}
	q.put(m)
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return dropped, nil
}

func (q *queue) put(m outgoing) {
	q.ring[(q.head+q.count)%len(q.ring)] = m
	q.count++
	q.bytes += m.size()
	if m.transient() {
		q.transient++
	}
}

func (q *queue) pop() outgoing {
	m := q.ring[q.head]
	if m.transient() {
		q.transient--
	}
	q.ring[q.head] = outgoing{}
	q.head = (q.head + 1) % len(q.ring)
	q.count--
	q.bytes -= m.size()
	return m
}

func (q *queue) grow() {
	ring := make([]outgoing, min(max(16, 2*len(q.ring)), q.maxMessages))
	n := copy(ring, q.ring[q.head:])
	copy(ring[n:], q.ring[:q.head])
	q.ring, q.head = ring, 0
}

// take moves the oldest messages to batch, which it returns, up to the bounds.
func (q *queue) take(batch []outgoing, maxMessages, maxBytes int) []outgoing {
	q.mu.Lock()
	defer q.mu.Unlock()
	for bytes := 0; q.count > 0 && len(batch) < maxMessages && bytes < maxBytes; {
		m := q.pop()
		bytes += m.size()
		batch = append(batch, m)
	}
	return batch
}

// takeTransient returns the oldest of the transient messages, up to a number.
// The others stay as they are.
func (q *queue) takeTransient(limit int) (taken []outgoing) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.transient == 0 {
		return nil
	}
	for range q.count {
		if m := q.pop(); m.transient() && len(taken) < limit {
			taken = append(taken, m)
		} else {
			q.put(m)
		}
	}
	return taken
}

// close refuses further messages. What is queued can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}
