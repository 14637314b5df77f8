package redis

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// lineInterval is the least time between two lines of one kind that any number
// of messages may be worth.
const lineInterval = time.Second

// repeatedLine is a warning about messages, of which one comes at most in
// lineInterval, with their number so far. The zero value is ready; it may be
// used concurrently.
type repeatedLine struct {
	total  atomic.Uint64
	logged atomic.Int64 // when, in Unix nanoseconds
}

// add counts messages, and logs a line if one is due.
func (r *repeatedLine) add(messages int, log *slog.Logger, line string, attrs ...any) {
	total := r.total.Add(uint64(messages))
	now, last := time.Now().UnixNano(), r.logged.Load()
	if now-last < int64(lineInterval) || !r.logged.CompareAndSwap(last, now) {
		return
	}
	log.Warn(line, append(attrs, "total", total)...)
}
