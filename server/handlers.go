package server

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/roomspan/roomspan/server/internal/parser"
)

// A Registrar is where handlers are registered: a *[Server] for its main
// namespace, a *[Namespace], or a *[Socket] for itself alone.
type Registrar interface {
	Handle(event string, h func(*Event) error)
}

// registry are handlers by event. Reading takes no lock; the zero value is
// empty, and so is nil.
type registry struct {
	mu     sync.Mutex
	events atomic.Pointer[map[string]*registered]
}

type registered struct {
	name     string
	handlers []func(*Event) error
}

func (r *registry) add(event string, h func(*Event) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := make(map[string]*registered)
	if old := r.events.Load(); old != nil {
		for k, v := range *old {
			events[k] = v
		}
	}
	entry := &registered{name: event}
	if old := events[event]; old != nil {
		entry.handlers = append(entry.handlers, old.handlers...)
	}
	entry.handlers = append(entry.handlers, h)
	events[event] = entry
	r.events.Store(&events)
}

// find returns the handlers of an event, and gives the event its name without
// allocating it once more.
func (r *registry) find(ev *Event) []func(*Event) error {
	if r == nil {
		return nil
	}
	events := r.events.Load()
	if events == nil {
		return nil
	}
	name, err := parser.EventName(ev.values.spans[0].Of(ev.values.data))
	if err != nil {
		return nil
	}
	entry := (*events)[string(name)]
	if entry == nil {
		return nil
	}
	if ev.name == "" { // written before the first handler may share the event
		ev.name = entry.name
	}
	return entry.handlers
}

func (s *Server) register(r *registry, event string, h func(*Event) error) {
	if parser.Reserved(event) {
		s.cfg.logger.Error("socket.io: handler for a reserved event", "event", event)
		if f := s.cfg.errorHandler; f != nil {
			f(nil, event, ErrReservedEvent)
		}
		return
	}
	r.add(event, h)
}

// On registers a handler for an event with one argument. An argument that the
// client left out is the zero value, further ones are ignored; one that does
// not fit the type is an error of the handler. What the handler returns goes
// to the log and the error handler; if the client asks for an acknowledgement,
// it gets an empty one, or the error as with [Reply].
func On[A any](r Registrar, event string, h func(*Socket, A) error) {
	r.Handle(event, func(e *Event) error {
		var a A
		err := e.Decode(&a)
		if err == nil {
			err = e.socket.guard(func() error { return h(e.socket, a) })
		}
		return e.done(err)
	})
}

// On2 is [On] for an event with two arguments.
func On2[A, B any](r Registrar, event string, h func(*Socket, A, B) error) {
	r.Handle(event, func(e *Event) error {
		var (
			a A
			b B
		)
		err := e.Decode(&a, &b)
		if err == nil {
			err = e.socket.guard(func() error { return h(e.socket, a, b) })
		}
		return e.done(err)
	})
}

// On3 is [On] for an event with three arguments.
func On3[A, B, C any](r Registrar, event string, h func(*Socket, A, B, C) error) {
	r.Handle(event, func(e *Event) error {
		var (
			a A
			b B
			c C
		)
		err := e.Decode(&a, &b, &c)
		if err == nil {
			err = e.socket.guard(func() error { return h(e.socket, a, b, c) })
		}
		return e.done(err)
	})
}

// Reply registers a handler whose result answers the acknowledgement of the
// client. An error answers it with {"error": text}: the text of a
// [ClientError], "invalid arguments" for a [DecodeError], "internal error" for
// any other. Errors that are no ClientError go to the log and the error
// handler.
func Reply[A, R any](r Registrar, event string, h func(*Socket, A) (R, error)) {
	r.Handle(event, func(e *Event) error {
		var a A
		if err := e.Decode(&a); err != nil {
			return e.fail(err)
		}
		v, err := guarded(e, func() (R, error) { return h(e.socket, a) })
		return e.answer(v, err)
	})
}

// Reply2 is [Reply] for an event with two arguments.
func Reply2[A, B, R any](r Registrar, event string, h func(*Socket, A, B) (R, error)) {
	r.Handle(event, func(e *Event) error {
		var (
			a A
			b B
		)
		if err := e.Decode(&a, &b); err != nil {
			return e.fail(err)
		}
		v, err := guarded(e, func() (R, error) { return h(e.socket, a, b) })
		return e.answer(v, err)
	})
}

// Reply3 is [Reply] for an event with three arguments.
func Reply3[A, B, C, R any](r Registrar, event string, h func(*Socket, A, B, C) (R, error)) {
	r.Handle(event, func(e *Event) error {
		var (
			a A
			b B
			c C
		)
		if err := e.Decode(&a, &b, &c); err != nil {
			return e.fail(err)
		}
		v, err := guarded(e, func() (R, error) { return h(e.socket, a, b, c) })
		return e.answer(v, err)
	})
}

// guarded calls a handler whose client waits for an answer also if it panics.
func guarded[R any](e *Event, h func() (R, error)) (v R, err error) {
	err = e.socket.guard(func() error {
		var herr error
		v, herr = h()
		return herr
	})
	return v, err
}

// answer sends the result of a Reply handler.
func (e *Event) answer(v any, err error) error {
	if err != nil {
		return e.fail(err)
	}
	if err := e.Ack(v); err != nil && !ignorable(err) {
		return e.fail(err)
	}
	return nil
}

// fail tells the client that its event failed, and returns what is to be
// reported.
func (e *Event) fail(err error) error {
	if e.asks {
		_ = e.Ack(map[string]string{"error": clientText(err)})
	}
	var ce *ClientError
	if errors.As(err, &ce) {
		return nil
	}
	return err
}

// done ends an event whose handler has no result.
func (e *Event) done(err error) error {
	if err != nil {
		return e.fail(err)
	}
	if e.asks && !e.acked.Load() {
		if err := e.Ack(); err != nil && !ignorable(err) {
			return err
		}
	}
	return nil
}

// ignorable reports whether an answer was not sent for a reason that is none
// of the handler's business.
func ignorable(err error) bool {
	return errors.Is(err, ErrNoAck) || errors.Is(err, ErrAcked) || errors.Is(err, ErrDisconnected)
}
