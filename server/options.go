package server

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server/internal/args"
	"github.com/roomspan/roomspan/server/internal/engineio"
	public "github.com/roomspan/roomspan/server/parser"
)

// An Option changes a default of [New]. Values are checked by New, which
// returns an [OptionError].
type Option func(*config)

type config struct {
	parser         public.Parser // nil for the default
	parserSet      bool
	json           JSONCodec
	jsonSet        bool
	codec          args.Codec // made of json
	backend        adapter.Backend
	logger         *slog.Logger
	errorHandler   func(*Socket, string, error)
	pingInterval   time.Duration
	pingTimeout    time.Duration
	connectTimeout time.Duration
	upgradeTimeout time.Duration
	writeTimeout   time.Duration
	ackTimeout     time.Duration
	maxPayload     int
	maxAttachments int
	queuePackets   int
	queueBytes     int
	inboundEvents  int
	inboundBytes   int
	notices        int
	namespaces     int

	namespaceCleanup bool
	polling          bool
	noUpgrades       bool
	eio3             bool
	webSocket        bool
	origins          []string
	http             httpConfig
	compression      engineio.Compression
	rate             *rateLimit // nil for none
	recovery         *Recovery  // nil for none
}

func defaults() config {
	return config{
		backend:        adapter.Memory(),
		logger:         slog.New(slog.DiscardHandler),
		pingInterval:   25 * time.Second,
		pingTimeout:    20 * time.Second,
		connectTimeout: 45 * time.Second,
		upgradeTimeout: 10 * time.Second,
		writeTimeout:   10 * time.Second,
		ackTimeout:     10 * time.Second,
		maxPayload:     1e6,
		maxAttachments: 10,
		queuePackets:   4096,
		queueBytes:     1 << 20,
		inboundEvents:  64,
		inboundBytes:   1 << 20,
		notices:        4096,
		namespaces:     10000,
		polling:        true,
		webSocket:      true,
		compression:    engineio.Compression{Polling: true, Level: 1, Threshold: 1024},
	}
}

// WithAdapter makes the server a node of a cluster. The back-end is started by
// New and closed by Shutdown. Default: [adapter.Memory], a node alone.
func WithAdapter(b adapter.Backend) Option { return func(c *config) { c.backend = b } }

// WithLogger sets where the server logs errors of handlers, panics and changes
// of the cluster's state. Default: nowhere.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// WithErrorHandler sets a function that is called with each error and panic
// of a handler, on the goroutine of the handler: for panics the error is a
// [PanicError]. The socket is nil, and the event empty, where there is none.
// Default: none; errors are logged in either case.
func WithErrorHandler(f func(s *Socket, event string, err error)) Option {
	return func(c *config) { c.errorHandler = f }
}

// WithPingInterval sets how long after a pong the server pings again. Default:
// 25 s; at least 1 ms.
func WithPingInterval(d time.Duration) Option { return func(c *config) { c.pingInterval = d } }

// WithPingTimeout sets how long the server waits for the pong. Default: 20 s;
// at least 1 ms.
func WithPingTimeout(d time.Duration) Option { return func(c *config) { c.pingTimeout = d } }

// WithConnectTimeout sets how long a client may stay without joining a
// namespace, and how long the attachments of a packet may lag behind it.
// Default: 45 s; at least 1 ms.
func WithConnectTimeout(d time.Duration) Option { return func(c *config) { c.connectTimeout = d } }

// WithUpgradeTimeout sets how long a WebSocket may probe before it is closed.
// Polling goes on then. Default: 10 s; at least 1 ms.
func WithUpgradeTimeout(d time.Duration) Option { return func(c *config) { c.upgradeTimeout = d } }

// WithoutUpgrades keeps clients on the transport that they began with: those
// on polling are not told of WebSocket, and refused if they try. Default:
// clients change to WebSocket as soon as they can.
func WithoutUpgrades() Option { return func(c *config) { c.noUpgrades = true } }

// WithWriteTimeout sets how long a client may take to read one write before it
// is disconnected with [ReasonSlowClient]. Default: 10 s; at least 1 ms.
func WithWriteTimeout(d time.Duration) Option { return func(c *config) { c.writeTimeout = d } }

// WithAckTimeout sets how long a Call waits whose context has no deadline.
// Default: 10 s; at least 1 ms.
func WithAckTimeout(d time.Duration) Option { return func(c *config) { c.ackTimeout = d } }

// WithMaxPayload sets the size in bytes of the longest message, or body of a
// POST, that a client may send; clients learn it in the handshake. Longer ones
// are answered with 413, or close the WebSocket with code 1009. Default:
// 1,000,000; at least 64.
func WithMaxPayload(bytes int) Option { return func(c *config) { c.maxPayload = bytes } }

// WithMaxAttachments sets how many binary attachments one packet of a client
// may have; more are a parse error. Default: 10, as socket.io-parser; at least
// 1.
func WithMaxAttachments(n int) Option { return func(c *config) { c.maxAttachments = n } }

// WithQueueLimit sets how many packets and bytes may wait for one client. A
// client that falls behind further is disconnected with [ReasonSlowClient],
// after its volatile packets have been dropped. One packet may be longer than
// the limit if it is alone. Default: 4096 packets, 1 MiB; at least 1 each.
func WithQueueLimit(packets, bytes int) Option {
	return func(c *config) { c.queuePackets, c.queueBytes = packets, bytes }
}

// WithInboundLimit sets how many events of one client, and how many bytes of
// them, may wait for its handlers. Beyond it the client is not read, so that
// TCP slows it down; nothing is lost. While something waits for an
// acknowledgement of the client the limit is 16 times as high, since the
// acknowledgement may stand behind events. Default: 64 events, 1 MiB; at least
// 1 each.
func WithInboundLimit(events, bytes int) Option {
	return func(c *config) { c.inboundEvents, c.inboundBytes = events, bytes }
}

// WithNoticeLimit sets how many events of other nodes, changes of rooms and
// outgoing events may wait, in one namespace, for the functions that are told
// of them. Further ones are dropped, and counted in [Stats]. Default: 4096; at
// least 1.
func WithNoticeLimit(n int) Option { return func(c *config) { c.notices = n } }

// WithNamespaceLimit sets how many children parents may have on this node, all
// together, since clients make them by asking for them. A client that asks for
// one more is refused, as if there were no such namespace, and counted in
// [Stats]. Default: 10,000; at least 1.
func WithNamespaceLimit(n int) Option { return func(c *config) { c.namespaces = n } }

// WithEmptyNamespaceCleanup removes the children of parents when their last
// client has gone: Node's cleanupEmptyChildNamespaces. A handler that keeps
// such a *[Namespace] gets [ErrClosed] from it. Default: they stay.
func WithEmptyNamespaceCleanup() Option { return func(c *config) { c.namespaceCleanup = true } }

// WithTransports sets which transports clients may use. Default: both; at
// least one.
func WithTransports(polling, webSocket bool) Option {
	return func(c *config) { c.polling, c.webSocket = polling, webSocket }
}

// WithOrigins lets pages of other origins connect: origins such as
// "https://example.com", which may send credentials, or "*" for all, which may
// not. It rules polling (CORS) and WebSocket alike: others are refused with 403,
// where Socket.IO on Node leaves it to the browser, which does not ask for
// WebSockets. Default: only the origin that the request's Host names, and
// clients that are no browsers. Behind a proxy that changes Host the origin of
// the site itself must be given, too.
func WithOrigins(origins ...string) Option { return func(c *config) { c.origins = origins } }

// WithRateLimit sets how many events per second one socket may send in the long
// run, and how many at once after a pause. Events beyond it are dropped and
// counted, and if they ask for an acknowledgement answered with
// {"error": "rate limit"}; acknowledgements are not limited. When burst events
// in a row have been refused, 10 if that is more, the socket is disconnected with
// [ReasonRateLimit]; its client does not reconnect by itself. Default: no limit.
// More than 0 events per second; burst at least 1.
func WithRateLimit(eventsPerSecond float64, burst int) Option {
	return func(c *config) { c.rate = &rateLimit{eventsPerSecond, burst} }
}

func (c *config) validate() error {
	if c.backend == nil {
		return &OptionError{"WithAdapter", "nil back-end"}
	}
	if c.logger == nil {
		return &OptionError{"WithLogger", "nil logger"}
	}
	if c.parserSet && c.parser == nil {
		return &OptionError{"WithParser", "nil parser"}
	}
	if c.eio3 && c.parser != nil {
		return &OptionError{"WithEIO3", "clients of Socket.IO 2 have a parser of their own, WithParser is for others"}
	}
	if c.jsonSet && c.json == nil {
		return &OptionError{"WithJSON", "nil codec"}
	}
	for _, d := range []struct {
		option string
		value  time.Duration
	}{
		{"WithPingInterval", c.pingInterval},
		{"WithPingTimeout", c.pingTimeout},
		{"WithConnectTimeout", c.connectTimeout},
		{"WithUpgradeTimeout", c.upgradeTimeout},
		{"WithWriteTimeout", c.writeTimeout},
		{"WithAckTimeout", c.ackTimeout},
	} {
		if d.value < time.Millisecond {
			return &OptionError{d.option, fmt.Sprintf("%v is less than 1ms", d.value)}
		}
	}
	for _, n := range []struct {
		option     string
		value, min int
	}{
		{"WithMaxPayload", c.maxPayload, 64},
		{"WithMaxAttachments", c.maxAttachments, 1},
		{"WithQueueLimit", min(c.queuePackets, c.queueBytes), 1},
		{"WithInboundLimit", min(c.inboundEvents, c.inboundBytes), 1},
		{"WithNoticeLimit", c.notices, 1},
		{"WithNamespaceLimit", c.namespaces, 1},
		{"WithCompressionLevel", min(c.compression.Level, c.compression.Threshold), 1},
	} {
		if n.value < n.min {
			return &OptionError{n.option, fmt.Sprintf("%d is less than %d", n.value, n.min)}
		}
	}
	if !c.polling && !c.webSocket {
		return &OptionError{"WithTransports", "no transport is left"}
	}
	for _, o := range c.origins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || !strings.EqualFold(o, u.Scheme+"://"+u.Host)) {
			return &OptionError{"WithOrigins", fmt.Sprintf("%q is no origin such as https://example.com", o)}
		}
	}
	if err := c.rate.validate(); err != nil {
		return err
	}
	if err := c.recovery.validate(); err != nil {
		return err
	}
	if l := c.compression.Level; l > 9 {
		return &OptionError{"WithCompressionLevel", fmt.Sprintf("level %d is more than 9", l)}
	}
	return c.http.validate()
}
