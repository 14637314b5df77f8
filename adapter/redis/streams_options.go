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
			requestWait: 250 * time.Millisecond, memory: 1024, restoreLimit: 100_000,
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
// saying so is noticed at the latest 2 seconds after that. With [FromClient] it is
// at most a second, as a client that is not closed cannot be interrupted. It is
// the option blockTimeInMs of Node.
func StreamBlock(d time.Duration) StreamOption {
	return func(s *streamConfig) { s.block = d }
}

// StreamOffsetWait sets for how long the clients of this node may wait for an
// event, with recovery, until Redis has said what its offset is: 500
// milliseconds by default, from 1 millisecond to a minute. After that, or when
// more wait than [WithBacklog] allows, they receive it without one, which is
// counted in [StreamStats].
func StreamOffsetWait(d time.Duration) StreamOption {
	return func(s *streamConfig) { s.offsetWait = d }
}

// StreamRequestWait sets for how long a request of another node waits for what
// that node has put into the stream before it: 250 milliseconds by default, up
// to a minute; with 0 nothing waits, as on Node. The two go different ways and
// nearly always arrive together. After that, or when more wait in the namespace
// than [WithBacklog] allows, the request is handled, which is counted in
// [StreamStats]. A node that has just started lets the first request of each
// other one wait, if that has sent something before: it cannot know what came
// before its time.
func StreamRequestWait(d time.Duration) StreamOption {
	return func(s *streamConfig) { s.requestWait = d }
}

// StreamMemory sets how many entries of each stream, and how many senders in
// each namespace, a node remembers: 1024 by default, from 16 to a million. Of
// the entries it needs as many as a failover of Redis may lose in order to go
// on where it was; else it reads from the start of the stream, and entries of
// Node that are still there come again. Of the senders, which are nodes and
// emitters, it needs all that may repeat an entry because they lost a
// connection. Both are counted in [StreamStats].
func StreamMemory(n int) StreamOption {
	return func(s *streamConfig) { s.memory = n }
}

// StreamRestoreLimit sets how many entries of the stream are looked at to
// recover one session: 100000 by default, from 1. A session that would need
// more is not recovered, which is counted in [StreamStats]. Node looks at what
// 100 reads bring, without a bound.
func StreamRestoreLimit(n int) StreamOption {
	return func(s *streamConfig) { s.restoreLimit = n }
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
	requestWait   time.Duration
	memory        int
	restoreLimit  int
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
	case s.requestWait < 0 || s.requestWait > time.Minute:
		return fmt.Errorf("%w: StreamRequestWait: %v is not in 0s..1m", ErrConfig, s.requestWait)
	case s.memory < 16 || s.memory > 1_000_000:
		return fmt.Errorf("%w: StreamMemory: %d is not in 16..1000000", ErrConfig, s.memory)
	case s.restoreLimit < 1:
		return fmt.Errorf("%w: StreamRestoreLimit: %d is less than 1", ErrConfig, s.restoreLimit)
	case s.sessionPrefix == "":
		return fmt.Errorf("%w: SessionKeyPrefix: the prefix is empty", ErrConfig)
	}
	return nil
}
