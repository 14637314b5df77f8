package redis

import (
	"context"
	"fmt"
	"slices"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// Conn is the connection of a [Backend] without its protocol: what a back-end
// of another family over Redis Pub/Sub is built on, as adapter/pysocketio is.
// It has the backlog, the pauses between attempts, the order, the log and the
// counters of a Backend. Its methods may be called concurrently.
type Conn struct{ backend *Backend }

// NewConn returns the connection of a back-end that has not been started, and
// is not used in any other way from then on. handle is given every message of
// the channels that are listened to, in order, by one goroutine; it does not
// wait for anything. An error says that a message was not understood: it is
// counted, and logged at most once a second, as is a panic.
func NewConn(b *Backend, handle func(channel, payload string) error) *Conn {
	b.handle = handle
	return &Conn{b}
}

// Start is that of [adapter.Backend].
func (c *Conn) Start(node adapter.Node) error { return c.backend.Start(node) }

// Listen subscribes to channels, for as long as the connection is open. It
// does not wait for the network; it is called after Start. After an outage the
// backlog waits a moment until the channels have as many listeners as before.
func (c *Conn) Listen(channels ...string) {
	subs := make([]subscription, len(channels))
	for i, name := range channels {
		subs[i] = subscription{name: name, request: true}
	}
	c.backend.sub.add(subs...)
}

// ListenApart subscribes to a channel that others do not listen to, as Listen
// does. peers is a channel of Listen to which this process does not listen
// itself, for the listeners of which the backlog waits; or "". By a channel
// without any listener a heartbeat finds out that Redis has lost the
// subscriptions of this process, though not the connection.
func (c *Conn) ListenApart(channel, peers string) {
	c.backend.sub.add(subscription{name: channel, sole: true, peers: peers})
}

// Overhear subscribes to a channel until [Conn.Ignore], without being one of
// its [Conn.Listeners]. It does not wait for the network, and is called again
// only after Ignore.
func (c *Conn) Overhear(channel string) {
	// Redis does not count who listens by a pattern.
	c.backend.sub.add(subscription{name: globEscaper.Replace(channel), pattern: true})
}

// AwaitOverhear returns when Redis has confirmed what [Conn.Overhear] asks for.
// It fails when ctx ends, and at once while Redis is away.
func (c *Conn) AwaitOverhear(ctx context.Context, channel string) error {
	name := globEscaper.Replace(channel)
	for {
		changed, err := c.Reachable()
		if err != nil {
			return err
		}
		if !slices.Contains(c.backend.sub.missing(), name) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("redis: subscribing: %w", ctx.Err())
		}
	}
}

// Ignore ends what [Conn.Overhear] began. It does not wait for the network.
func (c *Conn) Ignore(channel string) {
	c.backend.sub.remove(subscription{name: globEscaper.Replace(channel), pattern: true})
}

// Publish queues a message for a channel and takes the payload over. It never
// blocks. Errors: [adapter.ErrClosed], a message larger than the backlog, and
// that of [WithFailFast].
func (c *Conn) Publish(channel string, payload []byte) error {
	return c.backend.publisher.publish(outgoing{channel: channel, payload: payload, request: channel})
}

// Status is that of [adapter.StatusReporter].
func (c *Conn) Status() adapter.Status { return c.backend.Status() }

// OnStatus is that of [adapter.StatusReporter].
func (c *Conn) OnStatus(fn func(adapter.Status)) (remove func()) { return c.backend.OnStatus(fn) }

// Reachable is that of [cluster.Reacher], for all channels. It is called after
// Start.
func (c *Conn) Reachable() (changed <-chan struct{}, err error) { return c.backend.link.reachable() }

// Listeners returns how many connections listen to each of the channels. It
// fails at once while Redis is away, else it waits until ctx ends.
func (c *Conn) Listeners(ctx context.Context, channels ...string) (map[string]int64, error) {
	if _, err := c.Reachable(); err != nil {
		return nil, err
	}
	counts, err := c.backend.publisher.count(ctx, channels)
	if err != nil {
		return nil, fmt.Errorf("redis: counting listeners: %w", err)
	}
	return counts, nil
}

// CountReceived adds a message of another node to the counters.
func (c *Conn) CountReceived() { c.backend.received.Add(1) }

// CountDropped adds a message that was to be published, and is not.
func (c *Conn) CountDropped() { c.backend.publisher.dropped.Add(1) }

// Ready is that of [adapter.Backend].
func (c *Conn) Ready(ctx context.Context) error { return c.backend.Ready(ctx) }

// Stats is that of [adapter.Backend].
func (c *Conn) Stats() adapter.Stats { return c.backend.Stats() }

// Close is that of [adapter.Backend].
func (c *Conn) Close(ctx context.Context) error { return c.backend.Close(ctx) }

var _ cluster.Reacher = (*Conn)(nil)
