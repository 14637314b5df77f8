package redis

import (
	"fmt"
	"time"
)

// WithStreams makes the back-end carry messages in Redis Streams rather than
// by Pub/Sub: the family of @socket.io/redis-streams-adapter 0.3, with which
// its nodes share a cluster. Redis keeps the newest messages, so that a node
// that was cut off reads on where it was. It needs Redis 6.2 or later, and one
// more connection for each stream. WithKey is the option channelPrefix of
// Node: the prefix of the channels on which requests and answers go.
//
// With this family clients can recover their state on any node
// ([adapter.Recoverer]). The price is paid only if the server has recovery
// enabled: the offset that every recoverable event then carries is known when
// Redis has stored the event, so the clients of this node too receive it in
// the order of the stream, when this node reads it there: after two ways to
// Redis, about a millisecond in one data centre. Emit itself never waits, and
// what is emitted after such an event follows it. When Redis is away, or has
// not given the event back in the time of [StreamOffsetWait], the clients of this
// node receive it at once, without an offset, and it is stored later. No session is
// recovered for which such an event could be missing or come twice: that is
// one that ended before such an event was found in the stream, or whose client
// has seen no later one. It starts anew then, as if it had never been kept.
//
// Heartbeats, for which the Node package still has options, are of no use
// here: as in its version 0.3, Redis counts the nodes.
func WithStreams(opts ...StreamOption) Option {
	return func(c *config) {
		s := &streamConfig{
			name: "socket.io", count: 1, maxLen: 10_000, readCount: 100,
			block: 5 * time.Second, sessionPrefix: "sio:session:", offsetWait: 500 * time.Millisecond,
		}
		for _, opt := range opts {
			opt(s)
		}
		c.streams = s
	}
}

// StreamOption is a setting of [WithStreams]. Values are checked by Start.
type StreamOption func(*streamConfig)

// StreamName sets the name of the stream, "socket.io" by default: the option
// streamName of Node, the same on all nodes.
func StreamName(name string) StreamOption {
	return func(s *streamConfig) { s.name = name }
}

// StreamCount spreads the namespaces over up to 64 streams, in a Redis Cluster
// over several servers; the default is 1. With more than one, their names are
// StreamName with -0, -1 and so on. It is the option streamCount of Node, and
// must be the same on all nodes.
//
// Beyond 1, Node's nodes do not hear each other in about half of all
// namespaces: they write where nobody reads, because the remainder of a
// negative hash is negative in JavaScript. Messages of Roomspan reach
// everybody.
func StreamCount(n int) StreamOption {
	return func(s *streamConfig) { s.count = n }
}

// StreamMaxLen sets how many entries Redis keeps in each stream, at least:
// 10000 by default. It bounds how far behind a node, or a client that
// recovers, may be. It is the option maxLen of Node.
func StreamMaxLen(n int) StreamOption {
	return func(s *streamConfig) { s.maxLen = n }
}

// StreamReadCount sets how many entries are read at once: 100 by default, and
// at most 10000. It is the option readCount of Node.
func StreamReadCount(n int) StreamOption {
	return func(s *streamConfig) { s.readCount = n }
}

// StreamBlock sets for how long one read waits for entries: 5 seconds by
// default, from 100 milliseconds to a minute. A connection that is dead without
// saying so is noticed at the latest 2 seconds after that. It is the option
// blockTimeInMs of Node.
func StreamBlock(d time.Duration) StreamOption {
	return func(s *streamConfig) { s.block = d }
}

// StreamOffsetWait sets for how long the clients of this node may wait for an
// event, with recovery, until Redis has said what its offset is: 500
// milliseconds by default, from 1 millisecond to a minute. After that they
// receive it without one.
func StreamOffsetWait(d time.Duration) StreamOption {
	return func(s *streamConfig) { s.offsetWait = d }
}

// SessionKeyPrefix sets the prefix of the keys under which the sessions of
// clients that were cut off are kept, "sio:session:" by default. It is the
// option sessionKeyPrefix of Node, and must be the same on all nodes.
func SessionKeyPrefix(prefix string) StreamOption {
	return func(s *streamConfig) { s.sessionPrefix = prefix }
}

// StreamSharded carries requests and answers by sharded Pub/Sub, SPUBLISH and
// SSUBSCRIBE of Redis 7 and later, off by default: in a Redis Cluster each
// channel is on one server then, rather than on all. Events are in the stream
// with and without it. It is the option useShardedPubSub of Node, and must be
// the same on all nodes: with it and without, they do not hear each other's
// requests. While any server of the Cluster is away, requests ask nobody.
func StreamSharded() StreamOption {
	return func(s *streamConfig) { s.sharded = true }
}

// StreamPlaintext lets all that this node puts into a stream be JSON, which
// other programs can read, off by default. Binary arguments then reach the
// clients of other nodes as {"type":"Buffer","data":[1,2,3]}, which is what
// JSON.stringify makes of a Buffer, and so do those that a client gets later by
// recovery; the clients of this node receive them as they are. Acknowledgements
// are not concerned, and nodes with and without it understand each other. It is
// the option onlyPlaintext of Node, where it spares the search for binary
// arguments; here there is no search to spare.
func StreamPlaintext() StreamOption {
	return func(s *streamConfig) { s.plaintext = true }
}

// streamConfig is what the options of the family say.
type streamConfig struct {
	sharded       bool
	plaintext     bool
	offsetWait    time.Duration
	name          string
	count         int
	maxLen        int
	readCount     int
	block         time.Duration
	sessionPrefix string
}

const maxStreams = 64

func (s *streamConfig) validate() error {
	switch {
	case s.name == "":
		return fmt.Errorf("%w: StreamName: the name is empty", ErrConfig)
	case s.count < 1 || s.count > maxStreams:
		return fmt.Errorf("%w: StreamCount: %d is not in 1..%d", ErrConfig, s.count, maxStreams)
	case s.maxLen < 1:
		return fmt.Errorf("%w: StreamMaxLen: %d is less than 1", ErrConfig, s.maxLen)
	case s.readCount < 1 || s.readCount > 10_000:
		return fmt.Errorf("%w: StreamReadCount: %d is not in 1..10000", ErrConfig, s.readCount)
	case s.block < 100*time.Millisecond || s.block > time.Minute:
		return fmt.Errorf("%w: StreamBlock: %v is not in 100ms..1m", ErrConfig, s.block)
	case s.offsetWait < time.Millisecond || s.offsetWait > time.Minute:
		return fmt.Errorf("%w: StreamOffsetWait: %v is not in 1ms..1m", ErrConfig, s.offsetWait)
	case s.sessionPrefix == "":
		return fmt.Errorf("%w: SessionKeyPrefix: the prefix is empty", ErrConfig)
	}
	return nil
}
