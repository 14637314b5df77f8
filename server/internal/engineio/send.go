package engineio

import (
	"bytes"
	"sync"

	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/poison"
	"github.com/roomspan/roomspan/server/internal/ws"
)

const (
	// batchBytes is how much one write gathers; messages that are longer are
	// written alone, from their own memory.
	batchBytes = 16 << 10

	// batchMessages is how many messages one write gathers at most.
	batchMessages = 128

	// flushRounds is how many writes in a row one flush makes before others
	// that are served by the same goroutine get their turn.
	flushRounds = 8
)

type batchBuffer struct {
	messages [batchMessages]*outbound.Message
	bytes    []byte
}

func (b *batchBuffer) free() {
	poison.Memory(b.bytes)
	batchBuffers.Put(b)
}

var batchBuffers = sync.Pool{New: func() any {
	return &batchBuffer{bytes: make([]byte, 0, 2*batchBytes)}
}}

// Send queues a message. It never waits for the client. It reports whether the
// message was queued: not if the session has ended, or if the message is
// volatile and the client cannot take it now. A session whose queue passes its
// bounds is closed with ReasonSlowClient.
func (s *Session) Send(m *outbound.Message) bool {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return false
	}
	if m.Volatile && !s.writableLocked() {
		s.mu.Unlock()
		s.srv.cfg.Counters.VolatileDropped.Add(1)
		return false
	}
	s.queue.Push(m)
	if s.overfullLocked() {
		s.mu.Unlock()
		s.srv.cfg.Counters.SlowClients.Add(1)
		s.srv.cfg.Counters.QueueOverflows.Add(1)
		s.abort(ReasonSlowClient)
		return false
	}
	s.scheduleLocked()
	s.mu.Unlock()
	s.srv.cfg.Counters.Sent.Add(1)
	return true
}

// writableLocked reports whether the transport would take a message at once.
func (s *Session) writableLocked() bool {
	if s.conn == nil {
		return s.poll != nil
	}
	return !s.blocked
}

func (s *Session) overfullLocked() bool {
	cfg := &s.srv.cfg
	if s.queue.Len() <= cfg.QueuePackets && s.queue.Bytes() <= cfg.QueueBytes {
		return false
	}
	// One message alone is never too much: it may be larger than the bound.
	if dropped := s.queue.DropVolatile(); dropped > 0 {
		cfg.Counters.VolatileDropped.Add(uint64(dropped))
	}
	return s.queue.Len() > 1 &&
		(s.queue.Len() > cfg.QueuePackets || s.queue.Bytes() > cfg.QueueBytes)
}

// scheduleLocked has the queue flushed: soon, or when the handler that gathers
// is done, or at the latest when its patience ends.
func (s *Session) scheduleLocked() {
	switch {
	case s.flushing || s.held > 0:
	case s.conn == nil && s.poll == nil:
	case s.corks > 0 && s.state == stateOpen:
		if !s.later {
			s.later = true
			s.srv.flusher.Later(s, s.key)
		}
	case !s.scheduled:
		s.scheduled = true
		s.srv.flusher.Schedule(s, s.key)
	}
}

// Cork makes the session gather what is sent until Uncork. Calls nest.
func (s *Session) Cork() {
	s.mu.Lock()
	s.corks++
	s.mu.Unlock()
}

// Uncork takes a Cork back and writes what has gathered, on this goroutine.
func (s *Session) Uncork() {
	s.mu.Lock()
	s.corks--
	s.flushLocked(false)
}

// Hold keeps everything back until Release, for a few instructions, or the
// round trip by which a bus learns of a room, in which messages are queued that
// must not be seen before that is done. Calls nest.
func (s *Session) Hold() {
	s.mu.Lock()
	s.held++
	s.mu.Unlock()
}

// Release takes a Hold back.
func (s *Session) Release() {
	s.mu.Lock()
	s.held--
	s.scheduleIfQueuedLocked()
	s.mu.Unlock()
}

// FlushNow writes what is queued although a handler gathers: the handler is
// about to wait for the client.
func (s *Session) FlushNow() {
	s.mu.Lock()
	s.flushLocked(true)
}

// Flush implements outbound.Target.
func (s *Session) Flush() {
	s.mu.Lock()
	s.scheduled = false
	s.flushLocked(false)
}

// FlushOverdue implements outbound.Target.
func (s *Session) FlushOverdue() {
	s.mu.Lock()
	s.later = false
	s.flushLocked(true)
}

// flushLocked writes what is queued and unlocks the session. It does not wait
// for the client.
func (s *Session) flushLocked(overdue bool) {
	corked := s.corks > 0 && s.state == stateOpen
	if s.flushing || s.held > 0 || s.state == stateClosed || s.queue.Len() == 0 || (corked && !overdue) {
		s.mu.Unlock()
		return
	}
	if s.conn == nil {
		if p := s.poll; p != nil {
			s.poll = nil
			p.answer <- s.queue.TakeAll()
		}
		s.mu.Unlock()
		return
	}
	s.flushing = true
	if !s.conn.CanTryWrite() {
		s.drainLocked(nil)
		return
	}
	s.writeLocked()
}

// writeLocked writes batches as long as the kernel takes them at once, and
// unlocks the session. The caller has set flushing.
func (s *Session) writeLocked() {
	b := batchBuffers.Get().(*batchBuffer)
	defer b.free()
	for range flushRounds {
		messages := s.queue.Pop(b.messages[:0], batchBytes)
		conn := s.conn
		s.mu.Unlock()
		s.translate(messages)
		out, alone := b.gather(messages, s.srv.compressor(conn))
		n, err := conn.TryWrite(out)
		if err != nil {
			s.abort(ReasonTransportError)
			s.mu.Lock()
			s.flushing = false
			s.mu.Unlock()
			return
		}
		s.mu.Lock()
		if s.state == stateClosed {
			break // cut meanwhile; Close may not wait for another goroutine any more
		}
		if n < len(out) {
			rest := out[n:]
			if alone == nil {
				rest = bytes.Clone(rest) // the batch's memory goes back to the pool
			}
			s.drainLocked(rest)
			return
		}
		if alone != nil {
			alone.Release()
		}
		if s.queue.Len() == 0 || s.held > 0 {
			break
		}
	}
	s.flushing = false
	if s.queue.Len() > 0 {
		s.scheduleLocked()
	}
	s.mu.Unlock()
}

// compressor returns that for what goes out on conn, or nil for none.
func (srv *Server) compressor(conn *ws.Conn) *outbound.Compressor {
	if conn.Deflate() {
		return srv.deflate
	}
	return nil
}

// gather returns the bytes of a batch. They are valid until the buffer goes
// back to the pool. A message that is alone is in its own memory, and to be
// released when it has been written.
func (b *batchBuffer) gather(messages []*outbound.Message, c *outbound.Compressor) (out []byte, alone *outbound.Message) {
	if len(messages) == 1 {
		alone = messages[0]
		messages[0] = nil
		return alone.Deflated(c), alone
	}
	b.bytes = b.bytes[:0]
	for i, m := range messages {
		b.bytes = append(b.bytes, m.Deflated(c)...)
		messages[i] = nil
		m.Release()
	}
	out = b.bytes
	if cap(b.bytes) > 8*batchBytes {
		b.bytes = nil // grown by a long message at the end of the batch
	}
	return out, nil
}

// drainLocked starts the goroutine that waits for a client which does not take
// everything at once, and unlocks the session. It lives until the queue is
// empty; flushing is its own until then.
func (s *Session) drainLocked(rest []byte) {
	s.blocked = rest != nil
	conn := s.conn
	s.srv.wg.Add(1) // under the lock: whoever reads is still there then, and so Close has not passed its Wait
	s.mu.Unlock()
	go func() {
		defer s.srv.wg.Done()
		s.drain(conn, rest)
	}()
}

func (s *Session) drain(conn *ws.Conn, rest []byte) {
	b := batchBuffers.Get().(*batchBuffer)
	defer b.free()
	for {
		if len(rest) > 0 {
			if err := conn.WriteAll(rest); err != nil {
				if isTimeout(err) {
					s.srv.cfg.Counters.SlowClients.Add(1)
					s.abort(ReasonSlowClient)
				} else {
					s.abort(ReasonTransportError)
				}
				return
			}
		}
		s.mu.Lock()
		if s.queue.Len() == 0 || s.held > 0 || s.state == stateClosed {
			s.flushing, s.blocked = false, false
			s.mu.Unlock()
			return // Release has the rest flushed
		}
		messages := s.queue.Pop(b.messages[:0], batchBytes)
		s.mu.Unlock()
		s.translate(messages)
		rest, _ = b.gather(messages, s.srv.compressor(conn))
	}
}
