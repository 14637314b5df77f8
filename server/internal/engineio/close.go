package engineio

import (
	"errors"
	"os"

	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/ws"
)

var (
	closePacket = outbound.Packet("1")
	noopPacket  = outbound.Packet("6")
	closeFrame  = outbound.Frame(ws.AppendClose(nil, 0, ""))
)

// Close ends the session: what is queued is sent first, then the client is
// told. It does not wait. The first reason counts.
func (s *Session) Close(reason string) { s.closeWith(reason, closeFrame, closePacket) }

// closeWith is Close with the frame that ends a WebSocket and the packet that
// ends polling.
func (s *Session) closeWith(reason string, frame, packet *outbound.Message) {
	s.mu.Lock()
	if s.state != stateOpen || s.notified {
		s.mu.Unlock()
		return
	}
	s.state, s.notified = stateClosing, true
	s.stopUpgradeLocked()
	if s.conn != nil {
		s.queue.Push(frame)
		s.scheduleLocked()
	} else {
		s.queue.Push(packet)
		if p := s.poll; p != nil {
			s.poll = nil
			s.state = stateClosed
			p.answer <- s.queue.TakeAll()
		}
	}
	closed := s.state == stateClosed
	if closed {
		s.srv.wheel.Stop(&s.heartbeat)
	} else {
		s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.CloseTimeout)
	}
	s.mu.Unlock()
	if closed {
		s.srv.forget(s)
	}
	s.rcv.Closed(reason)
}

// abort ends the session at once: the transport is of no use any more.
func (s *Session) abort(reason string) {
	first := s.claim()
	s.terminate()
	if first {
		s.rcv.Closed(reason)
	}
}

// claim reports whether the caller is the one who tells the receiver. It comes
// before the connection is closed: the reader notices that, and has a reason
// of its own.
func (s *Session) claim() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.notified
	s.notified = true
	return first
}

// terminate lets go of everything that the session holds.
func (s *Session) terminate() {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return
	}
	s.state = stateClosed
	s.stopUpgradeLocked()
	s.srv.wheel.Stop(&s.heartbeat)
	s.queue.TakeAll()
	conn := s.conn
	if p := s.poll; p != nil {
		s.poll = nil
		p.answer <- []*outbound.Message{closePacket}
	}
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
	s.srv.forget(s)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
