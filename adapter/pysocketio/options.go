package pysocketio

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/roomspan/roomspan/adapter/redis"
)

// ErrConfig is the error, wrapped with what is wrong, that Start returns for a
// URL or an option that cannot be used.
var ErrConfig = errors.New("pysocketio: invalid configuration")

// Option is a setting of a [Backend]. Values are checked by Start.
type Option func(*config)

// WithChannel sets the channel of the fleet, "socketio" by default: the
// argument channel of AsyncRedisManager, the same on all nodes.
func WithChannel(name string) Option {
	return func(c *config) { c.channel = name }
}

// WithBacklog bounds what waits to be published, by number and by bytes:
// 10000 messages and 16 MiB by default. Beyond either bound the oldest message
// is dropped and counted. See also [WithBacklogAge].
func WithBacklog(messages, bytes int) Option {
	return func(c *config) { c.backlogMessages, c.backlogBytes = messages, bytes }
}

// WithBacklogAge sets for how long a message may wait to be published: 2
// minutes by default, and 0 is no limit. Whatever is older when Redis is back
// is dropped and counted; see [redis.WithBacklogAge].
func WithBacklogAge(d time.Duration) Option {
	return func(c *config) { c.backlogAge = d }
}

// WithFailFast makes whatever is published while Redis is away an error that
// wraps [adapter.ErrUnreachable], instead of a part of the backlog; it is off by
// default. See [redis.WithFailFast].
func WithFailFast() Option {
	return func(c *config) { c.failFast = true }
}

// WithPickle is for a fleet of python-socketio up to 5.13, and off by default.
// The messages of these versions, which are pickled, are read then: as plain
// data, of None, bool, int, float, str, bytes, list, tuple and dict. A message
// that holds anything else, or asks for code to be run, is skipped and counted.
// And what this node sends is laid out as these versions read it: their clients
// get several arguments as one list, and no event with binary data.
//
// With it off a pickled message is skipped and counted. A fleet has versions
// of one side alone: those up to 5.13 and later ones do not understand each
// other either. Of WithPickle and [WithOneArgument] the later one holds.
func WithPickle() Option {
	return func(c *config) { c.layout = layoutPickled }
}

// WithOneArgument is for a fleet of python-socketio 5.14.0 to 5.15.0, and off
// by default. The messages of these versions hold one argument, where later
// ones have a list of all: which of the two a list is, a message does not tell.
// With the option a list is read as one argument, as these versions do, and
// their clients get several arguments of this node as one list. All nodes of
// Roomspan in the fleet have it.
func WithOneArgument() Option {
	return func(c *config) { c.layout = layoutOne }
}

// WithMaxMessage sets the bytes of the longest message that is read, 16 MiB by
// default. A longer one is skipped and counted, before anything of it is
// looked at.
func WithMaxMessage(bytes int) Option {
	return func(c *config) { c.maxMessage = bytes }
}

// WithAckTimeout sets for how long the answer of a client to an event of a
// Python node is waited for, 60 seconds by default. The protocol does not say
// how long that node waits.
func WithAckTimeout(d time.Duration) Option {
	return func(c *config) { c.ackTimeout = d }
}

// config is what the options say.
type config struct {
	channel         string
	backlogMessages int
	backlogBytes    int
	backlogAge      time.Duration
	failFast        bool
	maxMessage      int
	ackTimeout      time.Duration
	layout          layout
}

// layout is what the data of an event is.
type layout uint8

const (
	layoutAll     layout = iota // a list of the arguments: python-socketio 5.15.1 and later
	layoutOne                   // the only argument: 5.14.0 to 5.15.0
	layoutPickled               // so too in JSON, without binary data; its own messages are pickled: up to 5.13
)

func newConfig(opts []Option) config {
	c := config{
		channel: "socketio", backlogMessages: 10_000, backlogBytes: 16 << 20, backlogAge: 2 * time.Minute,
		maxMessage: 16 << 20, ackTimeout: time.Minute,
	}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}

func (c *config) validate() error {
	switch {
	case c.channel == "":
		return fmt.Errorf("%w: WithChannel: the name is empty", ErrConfig)
	case c.maxMessage < 1:
		return fmt.Errorf("%w: WithMaxMessage: %d bytes", ErrConfig, c.maxMessage)
	case c.ackTimeout <= 0:
		return fmt.Errorf("%w: WithAckTimeout: %v", ErrConfig, c.ackTimeout)
	}
	return nil
}

// ownChannel is where nodes of Roomspan tell each other what Python has no
// words for, but for answers. Python nodes do not listen to it.
func (c *config) ownChannel() string { return c.channel + ":roomspan" }

// answerChannel is where the node of a host id hears the answers of nodes of
// Roomspan to its questions.
func (c *config) answerChannel(hostID string) string {
	// What may follow are the marks of fleets.
	id, _, _ := strings.Cut(hostID, ".")
	return c.ownChannel() + ":" + id
}

// connection returns the options for what is under the protocol.
func (c *config) connection() []redis.Option {
	opts := []redis.Option{redis.WithBacklog(c.backlogMessages, c.backlogBytes), redis.WithBacklogAge(c.backlogAge)}
	if c.failFast {
		opts = append(opts, redis.WithFailFast())
	}
	return opts
}
