package engineio

import (
	"sync"
	"sync/atomic"

	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/wheel"
	"github.com/roomspan/roomspan/server/internal/ws"
)

type state uint8

const (
	stateOpen    state = iota
	stateClosing       // nothing more is accepted; what is queued still goes out
	stateClosed
)

// Session is one client at the Engine.IO layer. Its methods may be called
// concurrently.
type Session struct {
	srv *Server
	rcv Receiver
	id  string
	key uint32 // of Key; it also chooses the goroutine of the flusher

	paused atomic.Int32 // the receiver keeps the client from being read

	v3       bool // the client speaks version 3
	inBase64 bool // and takes binary in base64 only

	mu        sync.Mutex
	queue     outbound.Queue
	conn      *ws.Conn // the WebSocket; nil while the transport is polling
	poll      *poll    // the GET that waits
	upgrade   *upgrade // the probe under way
	posted    chan struct{}
	state     state
	corks     uint16 // handlers that gather what they emit
	notified  bool   // the receiver knows that the session has ended
	held      uint16 // reasons why nothing goes out for the moment
	flushing  bool   // somebody writes, and will look at the queue again
	scheduled bool   // the flusher will call Flush
	later     bool   // the flusher will call FlushOverdue
	blocked   bool   // the peer does not take what is written
	waiting   bool   // for a pong
	extended  bool   // the wait for the pong has been extended
	heartbeat wheel.Timer
}

// ID returns the id of the session: 20 characters, made of 15 random bytes,
// unless Config.NewID made it.
func (s *Session) ID() string { return s.id }

// Key returns a number by which work for sessions is spread.
func (s *Session) Key() uint32 { return s.key }

// Transport returns "polling" or "websocket".
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		return transportWebSocket
	}
	return transportPolling
}

// Queued returns how many messages and bytes wait for the client, without those
// that are being written.
func (s *Session) Queued() (messages, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue.Len(), s.queue.Bytes()
}

// Pause tells that the receiver blocks the client on purpose, so that its
// silence is no ping timeout. Calls nest.
func (s *Session) Pause() { s.paused.Add(1) }

// Resume takes a Pause back. A pong that is waited for has its time anew: it
// may be behind what is read only now.
func (s *Session) Resume() {
	s.paused.Add(-1)
	s.mu.Lock()
	if s.waiting && s.state == stateOpen {
		s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.PingTimeout)
	}
	s.mu.Unlock()
}

// receive hands one packet of the client to whom it concerns. It runs on the
// goroutine that reads the transport. A non-empty reason ends the session.
func (s *Session) receive(data []byte, binary bool) (reason string) {
	if s.v3 {
		return s.receive3(data, binary)
	}
	if binary {
		return s.message(data, true)
	}
	if len(data) == 0 {
		return ReasonParseError
	}
	switch data[0] {
	case '4':
		return s.message(data[1:], false)
	case '3':
		s.pong()
		return ""
	case '1':
		return ReasonTransportClose
	case '2':
		// In version 4 the server pings; engine.io calls this an invalid
		// heartbeat direction.
		return ReasonTransportError
	case '0', '5', '6':
		return "" // ignored outside of an upgrade, as engine.io does
	case 'b':
		raw, err := decodeBase64(data[1:])
		if err != nil {
			return ReasonParseError
		}
		return s.message(raw, true)
	}
	return ReasonParseError
}

func (s *Session) message(data []byte, binary bool) string {
	s.mu.Lock()
	open := s.state == stateOpen
	s.extendLocked()
	s.mu.Unlock()
	if !open {
		return ""
	}
	s.srv.cfg.Counters.Received.Add(1)
	if err := s.rcv.Message(data, binary); err != nil {
		return ReasonParseError
	}
	return ""
}

// fail ends the session for a reason that receive gave. As with engine.io, a
// poll that waits learns of a violation by a close packet and of the client's
// own close by a noop; a session whose client broke the protocol is unknown
// from then on.
func (s *Session) fail(reason string) {
	if reason == ReasonTransportClose {
		s.closeWith(reason, closeFrame, noopPacket)
		return
	}
	s.srv.cfg.Counters.ProtocolErrors.Add(1)
	if s.Transport() == transportPolling {
		s.abort(reason)
		return
	}
	s.Close(reason)
}
