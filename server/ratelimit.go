package server

import (
	"fmt"
	"math"
	"time"
)

// minRefused is how many events in a row are refused at least before a socket
// is disconnected: one event too many is no attack.
const minRefused = 10

// rateLimit is the setting of WithRateLimit.
type rateLimit struct {
	perSecond float64
	burst     int
}

func (l *rateLimit) validate() error {
	switch {
	case l == nil:
		return nil
	case !(l.perSecond > 0) || math.IsInf(l.perSecond, 0): // NaN, too
		return &OptionError{"WithRateLimit", fmt.Sprintf("%v events per second is not more than 0", l.perSecond)}
	case l.burst < 1:
		return &OptionError{"WithRateLimit", fmt.Sprintf("a burst of %d is less than 1", l.burst)}
	}
	return nil
}

// bucket is the token bucket of one socket. It is filled when it is looked at,
// and needs no timer.
type bucket struct {
	tokens  float64
	filled  time.Time
	refused int // in a row
}

// take takes a token for one event.
func (b *bucket) take(l *rateLimit, now time.Time) bool {
	b.tokens = min(b.tokens+now.Sub(b.filled).Seconds()*l.perSecond, float64(l.burst))
	b.filled = now
	if b.tokens < 1 {
		b.refused++
		return false
	}
	b.tokens--
	b.refused = 0
	return true
}

// withinRate reports whether an event may be handled; else it has been answered.
// It runs on the reading goroutine.
func (s *Socket) withinRate(ev *Event) bool {
	l := s.ns.srv.cfg.rate
	if s.bucket == nil {
		s.bucket = &bucket{tokens: float64(l.burst), filled: time.Now()}
	}
	if s.bucket.take(l, time.Now()) {
		return true
	}
	s.ns.srv.counters.rateLimited.Add(1)
	_ = ev.fail(&ClientError{Message: string(ReasonRateLimit)})
	if s.bucket.refused >= max(l.burst, minRefused) && s.end(ReasonRateLimit, true) {
		// Not the transport: the client would reconnect by itself, and go on.
		s.tellDisconnect()
	}
	return false
}
