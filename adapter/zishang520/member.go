package zishang520

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter"
)

// member stands for a socket of the server in the index of rooms.
type member struct {
	namespace  *namespace
	id         socket.SocketId
	membership adapter.Membership
	known      atomic.Pointer[socket.Socket]

	mu        sync.Mutex             // before that of a question
	questions map[*question]struct{} // that it has not answered; nil for most
	left      bool
}

// ID implements adapter.Socket.
func (m *member) ID() string { return string(m.id) }

// Membership implements adapter.Socket.
func (m *member) Membership() *adapter.Membership { return &m.membership }

// socket returns the socket, nil while it is not connected: its middleware may
// have it join rooms before.
func (m *member) socket() *socket.Socket {
	if s := m.known.Load(); s != nil {
		return s
	}
	s, ok := m.namespace.nsp.Sockets().Load(m.id)
	if !ok {
		return nil
	}
	m.known.Store(s)
	return s
}

// ask notes a question. It reports false if the socket has gone.
func (m *member) ask(q *question) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return false
	}
	if m.questions == nil {
		m.questions = make(map[*question]struct{})
	}
	m.questions[q] = struct{}{}
	q.mu.Lock()
	q.waiting[m] = struct{}{}
	q.mu.Unlock()
	return true
}

func (m *member) forget(q *question) {
	m.mu.Lock()
	delete(m.questions, q)
	m.mu.Unlock()
	if s := m.known.Load(); s != nil {
		s.Acks().Delete(q.id)
	}
}

// gone answers for a socket that will not.
func (m *member) gone() {
	m.mu.Lock()
	m.left = true
	open := m.questions
	m.questions = nil
	m.mu.Unlock()
	for q := range open {
		q.done(m, nil)
	}
}

// question is a broadcast that waits for acknowledgements of clients of this
// node.
type question struct {
	id     uint64
	answer func(*adapter.Packet)

	mu      sync.Mutex
	waiting map[*member]struct{}
	timer   *time.Timer
}

// expire ends the question after a time.
func (q *question) expire(timeout time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		q.timer = time.AfterFunc(timeout, q.end)
	}
}

func (q *question) end() {
	q.mu.Lock()
	left := make([]*member, 0, len(q.waiting))
	for m := range q.waiting {
		left = append(left, m)
	}
	q.mu.Unlock()
	for _, m := range left {
		q.done(m, nil)
	}
}

// answered takes what a client answered.
func (q *question) answered(m *member, args []any) {
	p, err := encode(args)
	if err != nil {
		m.namespace.report("acknowledgement", err)
	}
	q.done(m, p)
}

// done gives the answer for one socket, nil for none, the first time.
func (q *question) done(m *member, p *adapter.Packet) {
	q.mu.Lock()
	_, waits := q.waiting[m]
	delete(q.waiting, m)
	if len(q.waiting) == 0 && q.timer != nil {
		q.timer.Stop()
	}
	q.mu.Unlock()
	if waits {
		m.forget(q)
		q.answer(p)
	}
}
