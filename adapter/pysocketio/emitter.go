package pysocketio

import (
	"context"
	"sync"
)

// overheard is the channel of the fleet as an emitter hears it: only while it
// asks clients, since those of Python nodes answer there, and in a way in which
// it is not counted among the nodes.
type overheard struct {
	mu     sync.Mutex
	askers int
}

// overhear makes an emitter hear the answers of Python's clients until end is
// called. Any other node hears them always. The error says that it does not
// hear them in time.
func (b *Backend) overhear(ctx context.Context) (end func(), err error) {
	if !b.emits {
		return func() {}, nil
	}
	o, channel := &b.overheard, b.config.channel
	o.mu.Lock()
	if o.askers++; o.askers == 1 {
		b.conn.Overhear(channel)
	}
	o.mu.Unlock()
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.askers--; o.askers == 0 {
			b.conn.Ignore(channel)
		}
	}, b.conn.AwaitOverhear(ctx, channel)
}

// atLeastSelf returns a number of nodes. This one may not be counted yet,
// unless it never is.
func (b *Backend) atLeastSelf(counted int64) int {
	if b.emits {
		return int(counted)
	}
	return max(1, int(counted))
}
