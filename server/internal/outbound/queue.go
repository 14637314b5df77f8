package outbound

// Queue is the first-in, first-out queue of one connection. It has no lock:
// the owner's guards it. The zero value is empty and holds no memory.
type Queue struct {
	messages []*Message
	head     int
	bytes    int
}

// Push adds a message.
func (q *Queue) Push(m *Message) {
	q.messages = append(q.messages, m)
	q.bytes += len(m.frames)
}

// Len returns the number of messages.
func (q *Queue) Len() int { return len(q.messages) - q.head }

// Bytes returns the size of all messages on a WebSocket.
func (q *Queue) Bytes() int { return q.bytes }

// keep is how many slots an empty queue keeps for the next burst; an idle
// connection holds no more than their memory.
const keep = 16

// Pop moves messages to dst until that is full, or their size has reached max
// bytes, and returns it. At least one message is moved if there is one and dst
// has room for it.
func (q *Queue) Pop(dst []*Message, max int) []*Message {
	size := 0
	for len(dst) < cap(dst) && q.head < len(q.messages) && (size == 0 || size < max) {
		m := q.messages[q.head]
		q.messages[q.head] = nil
		q.head++
		size += len(m.frames)
		dst = append(dst, m)
	}
	q.bytes -= size
	if q.head == len(q.messages) {
		q.head = 0
		if cap(q.messages) > keep {
			q.messages = nil
		} else {
			q.messages = q.messages[:0]
		}
	}
	return dst
}

// TakeAll empties the queue and returns what was in it.
func (q *Queue) TakeAll() []*Message {
	all := q.messages[q.head:]
	*q = Queue{}
	return all
}

// DropVolatile removes the volatile messages and returns their number.
func (q *Queue) DropVolatile() int {
	kept := q.messages[:0]
	dropped := 0
	for _, m := range q.messages[q.head:] {
		if m.Volatile {
			q.bytes -= len(m.frames)
			dropped++
			continue
		}
		kept = append(kept, m)
	}
	clear(q.messages[len(kept):])
	q.messages, q.head = kept, 0
	return dropped
}
