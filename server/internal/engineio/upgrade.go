package engineio

import (
	"net/http"
	"time"

	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/wheel"
	"github.com/roomspan/roomspan/server/internal/ws"
)

// noopInterval is how often a GET that waits is answered with a noop while a
// probe is under way. Once would not do: the client may have started another
// GET before it saw the probe's answer.
const noopInterval = 100 * time.Millisecond

// upgrade is a WebSocket that probes beside the polling transport.
type upgrade struct {
	s       *Session
	conn    *ws.Conn
	timer   wheel.Timer
	until   time.Time
	answers bool // "3probe" has been sent
}

// probeWebSocket takes a WebSocket for a session that exists. A second one
// beside a probe, or after the upgrade, is closed and disturbs nothing.
func (srv *Server) probeWebSocket(w http.ResponseWriter, r *http.Request, h http.Header, s *Session) {
	conn, err := ws.Upgrade(w, r, h, &srv.ws, nil)
	if err != nil {
		srv.badUpgrade(r, err)
		return
	}
	u := &upgrade{s: s, conn: conn, until: time.Now().Add(srv.cfg.UpgradeTimeout)}
	s.mu.Lock()
	if s.state != stateOpen || s.conn != nil || s.upgrade != nil {
		s.mu.Unlock()
		_ = conn.Close()
		return
	}
	s.upgrade = u
	srv.wheel.Set(&u.timer, u, min(noopInterval, srv.cfg.UpgradeTimeout))
	s.mu.Unlock()
	srv.run(s, &wsReader{s: s, conn: conn, probing: true})
}

// probe takes a message of a WebSocket that is not yet the transport.
func (r *wsReader) probe(binary bool, data []byte) error {
	switch {
	case !binary && string(data) == "2probe":
		if err := r.conn.WriteAll(outbound.Packet("3probe").Frames()); err != nil {
			return err
		}
		r.s.mu.Lock()
		if u := r.s.upgrade; u != nil {
			u.answers = true
			u.noopLocked()
		}
		r.s.mu.Unlock()
		return nil
	case !binary && string(data) == "5":
		if r.s.switchTo(r.conn) {
			r.probing = false
			return nil
		}
	}
	return errEnd // whatever else it was, only this WebSocket pays
}

// switchTo makes the probing WebSocket the transport.
func (s *Session) switchTo(conn *ws.Conn) bool {
	s.mu.Lock()
	for s.posted != nil {
		// What the client posted before comes first.
		posted := s.posted
		s.mu.Unlock()
		<-posted
		s.mu.Lock()
	}
	u := s.upgrade
	if s.state != stateOpen || u == nil || u.conn != conn || !u.answers {
		s.mu.Unlock()
		return false
	}
	s.srv.wheel.Stop(&u.timer)
	s.upgrade = nil
	s.conn = conn
	if p := s.poll; p != nil {
		s.poll = nil
		p.answer <- []*outbound.Message{noopPacket}
	}
	if s.waiting {
		s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.PingTimeout)
	}
	s.scheduleIfQueuedLocked()
	s.mu.Unlock()
	s.srv.cfg.Counters.Upgrades.Add(1)
	s.rcv.Upgraded()
	return true
}

func (s *Session) scheduleIfQueuedLocked() {
	if s.queue.Len() > 0 {
		s.scheduleLocked()
	}
}

// Expire implements wheel.Owner.
func (u *upgrade) Expire(*wheel.Timer) {
	s := u.s
	s.mu.Lock()
	if s.upgrade != u {
		s.mu.Unlock()
		return
	}
	if !time.Now().Before(u.until) {
		s.upgrade = nil
		s.mu.Unlock()
		_ = u.conn.Close()
		return
	}
	if u.answers {
		u.noopLocked()
	}
	s.srv.wheel.Set(&u.timer, u, noopInterval)
	s.mu.Unlock()
}

func (u *upgrade) noopLocked() {
	if p := u.s.poll; p != nil && u.s.queue.Len() == 0 {
		u.s.poll = nil
		p.answer <- []*outbound.Message{noopPacket}
	}
}

// stopUpgradeLocked ends a probe together with its session.
func (s *Session) stopUpgradeLocked() {
	if u := s.upgrade; u != nil {
		s.upgrade = nil
		s.srv.wheel.Stop(&u.timer)
		_ = u.conn.Close()
	}
}

// endProbe forgets a probe whose WebSocket has ended; the session goes on with
// polling.
func (s *Session) endProbe(conn *ws.Conn) {
	s.mu.Lock()
	if u := s.upgrade; u != nil && u.conn == conn {
		s.upgrade = nil
		s.srv.wheel.Stop(&u.timer)
	}
	s.mu.Unlock()
	_ = conn.Close()
}
