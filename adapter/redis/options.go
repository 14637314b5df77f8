package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// ErrConfig is the error, wrapped with what is wrong, that Start returns for a
// URL or an option that cannot be used.
var ErrConfig = errors.New("redis: invalid configuration")

// Option is a setting of a [Backend]. Values are checked by Start.
type Option func(*config)

// WithKey sets the prefix of all channels, "socket.io" by default. It is the
// option key of @socket.io/redis-adapter, and must be the same on all nodes.
func WithKey(key string) Option {
	return func(c *config) { c.key = key }
}

// WithBacklog bounds what waits to be published, by number and by bytes:
// 10000 messages and 16 MiB by default. Beyond either bound the oldest message
// is dropped and counted. See also [WithBacklogAge].
func WithBacklog(messages, bytes int) Option {
	return func(c *config) { c.backlogMessages, c.backlogBytes = messages, bytes }
}

// WithBacklogAge sets for how long a message may wait to be published: 2
// minutes by default, which is also what a client may miss, by default, and
// still recover on Node. Whatever is older when Redis is back is dropped and
// counted: clients have long asked for the state of things by other ways, and
// old news in one burst would only delay what is new. An outage shorter than
// that costs nothing within the bounds of [WithBacklog]. 0 is no limit.
//
// What was published before an outage was noticed counts as published then.
func WithBacklogAge(d time.Duration) Option {
	return func(c *config) { c.backlogAge = d }
}

// WithFailFast makes whatever is published while Redis is away an error instead
// of a part of the backlog; it is off by default. The call has its effect on
// this node all the same, returns an error that wraps [adapter.ErrUnreachable],
// and counts as dropped. Volatile events are dropped without an error, as they
// are without this option. What was queued before the outage was noticed is
// sent on return, within [WithBacklogAge].
//
// Redis is away as long as [Backend.Status] says so: also before the first
// connection stands.
func WithFailFast() Option {
	return func(c *config) { c.failFast = true }
}

// WithSpecificResponseChannel sends answers on a channel that only the node
// that asked listens to, rather than on the one that all share, which spares
// the others work. It is the option publishOnSpecificResponseChannel of
// @socket.io/redis-adapter, off by default. Nodes with and without it
// understand each other.
func WithSpecificResponseChannel() Option {
	return func(c *config) { c.specificResponse = true }
}

// WithTLS sets how the servers of a rediss URL are verified, and how this node
// shows who it is. By default the certificate authorities of the system are
// trusted. An empty ServerName stands for the host that is connected to. With
// any other URL, or with FromClient, it is an error.
func WithTLS(c *tls.Config) Option {
	return func(cfg *config) { cfg.tls = c }
}

// config is what the options say.
type config struct {
	key              string
	backlogMessages  int
	backlogBytes     int
	backlogAge       time.Duration // 0: no limit
	failFast         bool
	specificResponse bool
	rooms            bool             // WithRoomSubscriptions
	tls              *tls.Config      // nil without WithTLS
	sharded          SubscriptionMode // "" in the other families
	fresh, calm      time.Duration    // of rooms; see freshTime
	streams          *streamConfig    // nil in the other families
}

func newConfig(opts []Option) config {
	c := config{key: "socket.io", backlogMessages: 10_000, backlogBytes: 16 << 20, backlogAge: 2 * time.Minute, fresh: freshTime, calm: calmTime}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}

// shardedChannels reports whether channels are those of sharded Pub/Sub.
func (c *config) shardedChannels() bool {
	return c.sharded != "" || c.streams != nil && c.streams.sharded
}

func (c *config) validate() error {
	switch {
	case c.key == "":
		return fmt.Errorf("%w: WithKey: the key is empty", ErrConfig)
	case c.backlogMessages < 1:
		return fmt.Errorf("%w: WithBacklog: %d messages", ErrConfig, c.backlogMessages)
	case c.backlogBytes < 1:
		return fmt.Errorf("%w: WithBacklog: %d bytes", ErrConfig, c.backlogBytes)
	case c.backlogAge < 0:
		return fmt.Errorf("%w: WithBacklogAge: %v is less than 0", ErrConfig, c.backlogAge)
	case c.streams != nil && c.specificResponse:
		return fmt.Errorf("%w: WithSpecificResponseChannel: not with WithStreams, which answers so always", ErrConfig)
	case c.rooms && (c.streams != nil || c.sharded != ""):
		return fmt.Errorf("%w: WithRoomSubscriptions: not with WithSharded, which has modes for it, nor WithStreams", ErrConfig)
	case c.streams != nil && c.sharded != "":
		return fmt.Errorf("%w: WithSharded: not with WithStreams, which is another family", ErrConfig)
	case c.streams != nil:
		return c.streams.validate()
	}
	return c.validateFamily()
}

// validateFamily refuses options that another family than the chosen one has.
func (c *config) validateFamily() error {
	switch c.sharded {
	case "":
		return nil
	case Static, Dynamic, DynamicPrivate:
	default:
		return fmt.Errorf("%w: WithSharded: mode %q, not %q, %q or %q", ErrConfig, c.sharded, Static, Dynamic, DynamicPrivate)
	}
	if c.specificResponse {
		return fmt.Errorf("%w: WithSpecificResponseChannel: not with WithSharded, which answers so always", ErrConfig)
	}
	return nil
}
