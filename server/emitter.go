package server

import (
	"context"
	"slices"

	"github.com/roomspan/roomspan/adapter"
)

// Emitter emits to the clients of a cluster from a process that has none: a
// worker, a cron job. It embeds the [Target] of all sockets of a namespace, so
// that it emits, asks, fetches, joins, leaves and disconnects as a server
// does. Its methods may be called concurrently.
type Emitter struct {
	Target
}

// NewEmitter returns the emitter of the main namespace, and begins to connect
// to the cluster in the background. Of the options, [WithLogger] and
// [WithAckTimeout] have a meaning. The errors are those of [New].
//
// A back-end that can (see [adapter.EmitterNode]) neither counts it as a node
// nor lets it hear what it does not need.
func NewEmitter(b adapter.Backend, opts ...Option) (*Emitter, error) {
	s, err := configure(append(slices.Clip(opts), WithAdapter(b)))
	if err != nil {
		return nil, err
	}
	if err := b.Start(emitterNode{node{s}}); err != nil {
		return nil, err
	}
	ns, err := s.Of("/")
	if err != nil {
		_ = b.Close(context.Background())
		return nil, err
	}
	return &Emitter{ns.Target}, nil
}

// emitterNode is an emitter as its back-end sees it.
type emitterNode struct{ node }

var _ adapter.EmitterNode = emitterNode{}

// EmitsOnly implements adapter.EmitterNode.
func (emitterNode) EmitsOnly() bool { return true }

// Of returns the emitter of another namespace. It shares the connection to the
// cluster. The errors are those of [Server.Of].
func (e *Emitter) Of(name string) (*Emitter, error) {
	ns, err := e.ns.srv.Of(name)
	if err != nil {
		return nil, err
	}
	return &Emitter{ns.Target}, nil
}

// ServerSideEmit sends an event to the handlers of all nodes. See
// [Namespace.ServerSideEmit].
func (e *Emitter) ServerSideEmit(event string, args ...any) error {
	return e.ns.ServerSideEmit(event, args...)
}

// Ready blocks until the cluster can be reached, or until ctx ends; then the
// error says what is missing. What is emitted before waits in the back-end.
func (e *Emitter) Ready(ctx context.Context) error { return e.ns.srv.Ready(ctx) }

// Close ends the emitter, and those of all other namespaces that came from it.
// What has been emitted is sent as far as ctx lets it. Further calls return
// nil.
func (e *Emitter) Close(ctx context.Context) error {
	s := e.ns.srv
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	err := s.cfg.backend.Close(ctx)
	if werr := s.workers.wait(ctx); err == nil {
		err = werr
	}
	return err
}
