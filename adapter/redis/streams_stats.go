package redis

import "sync/atomic"

// StreamStats counts what the Streams family missed, and what it gave up at
// its bounds, since Start.
type StreamStats struct {
	// Missed counts messages of other nodes of Roomspan that never came: they
	// were dropped by their senders, trimmed before they were read, or lost by
	// a failover of Redis. It is known when the next one of the sender comes.
	Missed uint64

	// EarlyRequests counts requests of other nodes that were handled before
	// something that their sender had put into the stream earlier. See
	// [StreamRequestWait].
	EarlyRequests uint64

	// WithoutOffset counts events, with recovery, that the clients of this
	// node received without an offset. See [StreamOffsetWait].
	WithoutOffset uint64

	// SessionsNotKept counts sessions that were not kept, because it was not
	// certain what their clients have had: events without an offset were not
	// found in the stream yet.
	SessionsNotKept uint64

	// SessionsNotRestored counts sessions that were found, and not recovered:
	// what their clients missed was trimmed, is more than [adapter.Recovery] or
	// [StreamRestoreLimit] allows, or could come twice.
	SessionsNotRestored uint64

	// SendersForgotten counts senders that were forgotten for others. See
	// [StreamMemory].
	SendersForgotten uint64

	// Rewinds counts how often a stream was read from its start, because
	// nothing was found in it that had been read before. See [StreamMemory].
	Rewinds uint64
}

// streamCounters are those of [StreamStats].
type streamCounters struct {
	missed, earlyRequests, withoutOffset, sessionsNotKept, sessionsNotRestored, sendersForgotten, rewinds atomic.Uint64
}

// StreamStats returns the counters of the Streams family: zero in the others,
// and before Start.
func (b *Backend) StreamStats() StreamStats {
	b.mu.Lock()
	s := b.streams
	b.mu.Unlock()
	if s == nil {
		return StreamStats{}
	}
	return StreamStats{
		Missed:              s.counters.missed.Load(),
		EarlyRequests:       s.counters.earlyRequests.Load(),
		WithoutOffset:       s.counters.withoutOffset.Load(),
		SessionsNotKept:     s.counters.sessionsNotKept.Load(),
		SessionsNotRestored: s.counters.sessionsNotRestored.Load(),
		SendersForgotten:    s.counters.sendersForgotten.Load(),
		Rewinds:             s.counters.rewinds.Load(),
	}
}
