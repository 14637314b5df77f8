package engineio

import (
	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/wheel"
)

var pingMessage = outbound.Packet("2")

// Expire implements wheel.Owner for the heartbeat: it is time to ping, or the
// pong has not come.
func (s *Session) Expire(*wheel.Timer) {
	s.mu.Lock()
	if s.state != stateOpen {
		closing := s.state == stateClosing
		s.mu.Unlock()
		if closing {
			s.terminate() // the peer had its time to answer the close
		}
		return
	}
	if s.v3 {
		s.silentLocked()
		return
	}
	if s.waiting {
		if s.paused.Load() > 0 {
			// The pong may be behind what we ourselves do not read.
			s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.PingTimeout)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.srv.cfg.Counters.PingTimeouts.Add(1)
		s.abort(ReasonPingTimeout)
		return
	}
	s.waiting, s.extended = true, false
	// Past the bounds of the queue: a client must not die of a full queue
	// that is about to be written.
	s.queue.Push(pingMessage)
	s.scheduleLocked()
	s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.PingTimeout)
	s.mu.Unlock()
}

// pong notes that the client is alive. The next ping is due an interval after
// the pong, not after the ping (engine.io's behaviour). A pong that nobody
// waits for costs nothing.
func (s *Session) pong() {
	s.mu.Lock()
	if s.waiting && s.state == stateOpen {
		s.waiting = false
		s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.PingInterval)
	}
	s.mu.Unlock()
}

// extendLocked gives a client that is sending once more the time for its pong,
// as engine.io 6.6.12 does.
func (s *Session) extendLocked() {
	if s.waiting && !s.extended && s.state == stateOpen {
		s.extended = true
		s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.PingTimeout)
	}
}
