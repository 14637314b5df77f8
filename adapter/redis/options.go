package redis

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
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
// is dropped and counted.
func WithBacklog(messages, bytes int) Option {
	return func(c *config) { c.backlogMessages, c.backlogBytes = messages, bytes }
}

// WithSpecificResponseChannel sends answers on a channel that only the node
// that asked listens to, rather than on the one that all share, which spares
// the others work. It is the option publishOnSpecificResponseChannel of
// @socket.io/redis-adapter, off by default. Nodes with and without it
// understand each other.
func WithSpecificResponseChannel() Option {
	return func(c *config) { c.specificResponse = true }
}

// config is what the options say.
type config struct {
	key              string
	backlogMessages  int
	backlogBytes     int
	specificResponse bool
	streams          *streamConfig // nil in the other families
}

func newConfig(opts []Option) config {
	c := config{key: "socket.io", backlogMessages: 10_000, backlogBytes: 16 << 20}
	for _, opt := range opts {
		opt(&c)
	}
	return c
}

func (c *config) validate() error {
	switch {
	case c.key == "":
		return fmt.Errorf("%w: WithKey: the key is empty", ErrConfig)
	case c.backlogMessages < 1:
		return fmt.Errorf("%w: WithBacklog: %d messages", ErrConfig, c.backlogMessages)
	case c.backlogBytes < 1:
		return fmt.Errorf("%w: WithBacklog: %d bytes", ErrConfig, c.backlogBytes)
	case c.streams != nil && c.specificResponse:
		return fmt.Errorf("%w: WithSpecificResponseChannel: not with WithStreams, which answers so always", ErrConfig)
	case c.streams != nil:
		return c.streams.validate()
	}
	return nil
}

// ioTimeout is how long a client of our own waits for Redis: to connect, and
// for each write and reply. A hung Redis is noticed after that.
const ioTimeout = 2 * time.Second

// dial makes a client from a URL. It does no network I/O.
func dial(rawURL string) (goredis.UniversalClient, error) {
	opt, err := goredis.ParseURL(rawURL)
	if err != nil {
		// The text of a *url.Error repeats the URL, with its password.
		if parseErr := (*url.Error)(nil); errors.As(err, &parseErr) {
			err = parseErr.Err
		}
		return nil, fmt.Errorf("%w: URL: %v", ErrConfig, err)
	}
	for _, timeout := range []*time.Duration{&opt.DialTimeout, &opt.ReadTimeout, &opt.WriteTimeout} {
		if *timeout == 0 {
			*timeout = ioTimeout
		}
	}
	// Retries are ours: the client's would stretch every failure.
	opt.MaxRetries = -1
	opt.DialerRetries = 1
	opt.ContextTimeoutEnabled = true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return goredis.NewClient(opt), nil
}
