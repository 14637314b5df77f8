package adaptertest

import (
	"encoding/json"
	"iter"
	"sync"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// Host is an [adapter.Host] without a server behind it: a namespace whose
// sockets record what they are sent. Its methods may be called concurrently.
type Host struct {
	namespace string
	recovery  adapter.Recovery

	mu     sync.Mutex
	index  adapter.Adapter
	events []*adapter.Packet
	answer func(*adapter.Packet) *adapter.Packet
	hold   *hold

	// asking are the goroutines that answer for clients, and for this node.
	asking sync.WaitGroup
}

// NewHost returns a namespace, whose name begins with a slash.
func NewHost(namespace string) *Host {
	return &Host{namespace: namespace}
}

// Use sets the adapter from which sockets are taken out when they are
// disconnected. By default they stay.
func (h *Host) Use(a adapter.Adapter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.index = a
}

// Recover sets what the namespace keeps for clients that were cut off; it is
// called before the adapter is opened. By default it keeps nothing.
func (h *Host) Recover(r adapter.Recovery) { h.recovery = r }

// Recovery implements [adapter.RecoveryHost].
func (h *Host) Recovery() adapter.Recovery { return h.recovery }

// AnswerEvents sets what this node answers to events of other nodes. By
// default, and for nil, it does not answer.
func (h *Host) AnswerEvents(answer func(*adapter.Packet) *adapter.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// HoldEvents makes this node keep back its answers to events of other nodes
// until release is called, which returns when they have been given.
func (h *Host) HoldEvents() (release func()) { return begin(&h.mu, &h.hold) }

// Events returns the events of other nodes so far.
func (h *Host) Events() []*adapter.Packet {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*adapter.Packet(nil), h.events...)
}

// Wait returns when no goroutine of the host runs any more. It is not called
// while a call that asks clients may begin.
func (h *Host) Wait() { h.asking.Wait() }

// Namespace implements [adapter.Host].
func (h *Host) Namespace() string { return h.namespace }

// Deliver implements [adapter.Host].
func (h *Host) Deliver(p *adapter.Packet, flags adapter.Flags, to iter.Seq[adapter.Socket]) {
	for s := range to {
		s.(*Socket).receive(p, flags)
	}
}

// Ask implements [adapter.Host]. The first client answers before Ask returns,
// the others later.
func (h *Host) Ask(p *adapter.Packet, flags adapter.Flags, to iter.Seq[adapter.Socket], timeout time.Duration, answer func(*adapter.Packet)) int {
	n := 0
	for s := range to {
		n++
		socket := s.(*Socket)
		socket.receive(p, flags)
		switch a, held := socket.reply(p); {
		case a == nil:
			time.AfterFunc(timeout, func() { answer(nil) })
		case held != nil:
			h.asking.Go(func() { held.give(a, answer) })
		case n == 1:
			answer(a)
		default:
			h.asking.Go(func() { answer(a) })
		}
	}
	return n
}

// Describe implements [adapter.Host].
func (h *Host) Describe(s adapter.Socket) adapter.SocketInfo {
	return adapter.SocketInfo{
		ID:        s.ID(),
		Handshake: json.RawMessage(`{"query":{"EIO":"4"}}`),
		Rooms:     s.Membership().Rooms(),
		Data:      json.RawMessage(`{"name":"` + s.ID() + `"}`),
	}
}

// Disconnect implements [adapter.Host].
func (h *Host) Disconnect(s adapter.Socket, closeConn bool) {
	s.(*Socket).disconnect(closeConn)
	h.mu.Lock()
	index := h.index
	h.mu.Unlock()
	if index != nil {
		index.DelAll(s)
	}
}

// ServerSideEvent implements [adapter.Host].
func (h *Host) ServerSideEvent(p *adapter.Packet, reply func(*adapter.Packet)) {
	h.mu.Lock()
	h.events = append(h.events, p)
	if reply == nil {
		h.mu.Unlock()
		return
	}
	answer, held := h.answer, h.hold.keep()
	h.mu.Unlock()
	a := answered(p, answer, held)
	switch {
	case a == nil:
	case held != nil:
		h.asking.Go(func() { held.give(a, reply) })
	default:
		reply(a)
		reply(a) // only the first counts
	}
}

// Socket is an [adapter.Socket] that records what it is sent. Its methods may
// be called concurrently.
type Socket struct {
	id         string
	membership adapter.Membership

	mu           sync.Mutex
	received     []Delivery
	answer       func(*adapter.Packet) *adapter.Packet
	hold         *hold
	disconnected bool
	connClosed   bool
}

// Delivery is an event as it has come to a socket.
type Delivery struct {
	Packet *adapter.Packet
	Flags  adapter.Flags
}

// NewSocket returns a socket that is in no index.
func NewSocket(id string) *Socket { return &Socket{id: id} }

// ID implements [adapter.Socket].
func (s *Socket) ID() string { return s.id }

// Membership implements [adapter.Socket].
func (s *Socket) Membership() *adapter.Membership { return &s.membership }

// Answer sets how the client answers when it is asked for an acknowledgement.
// By default, and with nil, it does not.
func (s *Socket) Answer(answer func(*adapter.Packet) *adapter.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// Hold makes the client keep its answers back until release is called, which
// returns when they have been given, also after the time of their question.
func (s *Socket) Hold() (release func()) { return begin(&s.mu, &s.hold) }

// Received returns what has come so far, in order.
func (s *Socket) Received() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Delivery(nil), s.received...)
}

// Disconnected reports whether the socket was disconnected, and whether the
// connection under it was to be closed too.
func (s *Socket) Disconnected() (disconnected, connClosed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disconnected, s.connClosed
}

func (s *Socket) receive(p *adapter.Packet, flags adapter.Flags) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, Delivery{p, flags})
}

// reply returns what the client answers, if it does, and what keeps it back.
func (s *Socket) reply(p *adapter.Packet) (*adapter.Packet, *hold) {
	s.mu.Lock()
	answer, held := s.answer, s.hold.keep()
	s.mu.Unlock()
	return answered(p, answer, held), held
}

func (s *Socket) disconnect(closeConn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disconnected, s.connClosed = true, closeConn
}
