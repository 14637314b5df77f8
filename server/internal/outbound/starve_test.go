package outbound_test

import (
	"testing"
	"time"

	"github.com/roomspan/roomspan/server/internal/outbound"
)

// again is a connection that has more to write whenever it has written.
type again struct {
	f    *outbound.Flusher
	stop chan struct{}
}

func (g *again) Flush() {
	select {
	case <-g.stop:
	default:
		time.Sleep(50 * time.Microsecond) // a write
		g.f.Schedule(g, 0)
	}
}
func (g *again) FlushOverdue() {}

// What a handler holds back is written in time also while the flusher is never
// without work.
func TestFlusherThatIsBusyFlushesWhatIsOverdue(t *testing.T) {
	f := outbound.NewFlusher()
	busy := &again{f, make(chan struct{})}
	f.Schedule(busy, 0)
	var late target
	start := time.Now()
	f.Later(&late, 0)
	for time.Since(start) < time.Second {
		late.mu.Lock()
		n := len(late.overdue)
		late.mu.Unlock()
		if n > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	late.mu.Lock()
	if len(late.overdue) == 0 {
		t.Error("not flushed for a second")
	}
	late.mu.Unlock()
	close(busy.stop)
	f.Close()
}
