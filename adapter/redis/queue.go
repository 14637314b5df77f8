package redis

import (
	"fmt"
	"slices"
	"sync"
	"time"

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

	// queued is when it was queued, if it was while the queue was held.
	queued time.Time
}

// transient reports whether a message is for those alone who hear it now.
func (m outgoing) transient() bool { return m.entry == nil && m.session == nil }

func (m outgoing) size() int { return len(m.channel) + len(m.payload) }

// chunk is a part of a queue. A queue grows by one at a time, so that who
// publishes never pays for copying it.
type chunk [chunkSize]outgoing

const chunkSize = 128

// queue holds what waits to be published, within bounds. push may be called by
// anyone, take by the publisher alone.
type queue struct {
	maxMessages, maxBytes int
	failFast              bool // nothing is queued while there is no connection

	// ready holds a token when there may be something to take.
	ready chan struct{}

	mu     sync.Mutex
	chunks []*chunk // of which the first and the last are in part filled
	head   int      // of the oldest message, in the first chunk
	count  int
	bytes  int
	spare  *chunk // was emptied last
	closed bool

	transient int // how many are

	// heldSince is since when nothing can be sent, and zero if something can.
	// Only meanwhile messages get a time, which would cost more than to queue
	// them. down is why, if there is no connection.
	heldSince time.Time
	down      error
}

func newQueue(maxMessages, maxBytes int) *queue {
	return &queue{maxMessages: maxMessages, maxBytes: maxBytes, ready: make(chan struct{}, 1)}
}

// push appends a message and returns how many had to go: old ones for it, or
// the message itself, with an error. It never blocks.
func (q *queue) push(m outgoing) (dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, adapter.ErrClosed
	}
	if !q.heldSince.IsZero() {
		if q.failFast && q.down != nil {
			return 1, q.down
		}
		m.queued = time.Now()
	}
	if m.size() > q.maxBytes {
		return 1, fmt.Errorf("redis: a message of %d bytes is larger than the backlog", m.size())
	}
	for q.count == q.maxMessages || q.bytes+m.size() > q.maxBytes {
		q.pop()
		dropped++
	}
	q.put(m)
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return dropped, nil
}

// put appends a message, for which there is room within the bounds.
func (q *queue) put(m outgoing) {
	end := q.head + q.count
	if end == len(q.chunks)*chunkSize {
		q.grow()
	}
	q.chunks[end/chunkSize][end%chunkSize] = m
	q.count++
	q.bytes += m.size()
	if m.transient() {
		q.transient++
	}
}

// oldest returns the first message, which is there.
func (q *queue) oldest() *outgoing { return &q.chunks[0][q.head] }

func (q *queue) pop() outgoing {
	m := *q.oldest()
	*q.oldest() = outgoing{}
	q.head++
	if m.transient() {
		q.transient--
	}
	q.count--
	q.bytes -= m.size()
	if q.head == chunkSize {
		q.head = 0
		q.spare, q.chunks[0] = q.chunks[0], nil
		q.chunks = q.chunks[1:]
	} else if q.count == 0 {
		q.head = 0
	}
	return m
}

func (q *queue) grow() {
	c := q.spare
	if c == nil {
		c = new(chunk)
	}
	q.spare = nil
	q.chunks = append(q.chunks, c)
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

// hold notes that nothing can be sent now; cause says why there is no
// connection, and is nil if there is one.
func (q *queue) hold(cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.heldSince.IsZero() {
		q.heldSince = time.Now()
	}
	if cause != nil {
		q.down = cause
	}
}

// release notes that what is queued is sent.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heldSince, q.down = time.Time{}, nil
}

// expire drops what has waited for longer than age, and returns how many that
// are; so too of what was taken before, which it returns. A message that was
// queued before the queue was held has waited since then, at least.
//
// It may be much; who publishes meanwhile waits for one part of it at most.
func (q *queue) expire(taken []outgoing, age time.Duration) (left []outgoing, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if age <= 0 || q.heldSince.IsZero() {
		return taken, 0
	}
	limit := time.Now().Add(-age)
	old := func(m outgoing) bool {
		if m.queued.IsZero() {
			return q.heldSince.Before(limit)
		}
		return m.queued.Before(limit)
	}
	left = slices.DeleteFunc(taken, old)
	dropped = len(taken) - len(left)
	for q.count > 0 && old(*q.oldest()) {
		q.pop()
		if dropped++; dropped%chunkSize == 0 {
			q.mu.Unlock()
			q.mu.Lock()
		}
	}
	return left, dropped
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
