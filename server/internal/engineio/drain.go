package engineio

import (
	"context"
	"time"
)

// drainTick is the shortest pause between two rounds of closing sessions.
const drainTick = 10 * time.Millisecond

// Drain refuses new clients from now on, and closes those sessions with reason
// that are open, evenly spread over window. It returns when all have been told,
// ctx has ended, or the server is closed.
func (srv *Server) Drain(ctx context.Context, window time.Duration, reason string) {
	srv.mu.Lock()
	srv.draining = true
	all := srv.sessionsLocked()
	srv.mu.Unlock()
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for told := 0; told < len(all) && srv.cfg.Counters.Sessions.Load() > 0; {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		case <-srv.ended:
			return
		}
		due := len(all)
		if passed := time.Since(start); passed < window {
			due = int(float64(due) * float64(passed) / float64(window))
		}
		for ; told < due; told++ {
			all[told].Close(reason)
		}
		timer.Reset(max(window/time.Duration(len(all)), drainTick))
	}
}
