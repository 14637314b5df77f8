package server

import (
	"errors"
	"reflect"
	"sync/atomic"

	"github.com/roomspan/roomspan/server/internal/args"
)

// On registers a handler for an event with one argument. An argument that the
// client left out is the zero value, further ones are ignored; one that does
// not fit the type is an error of the handler. What the handler returns goes
// to the log and the error handler; if the client asks for an acknowledgement,
// it gets an empty one, or the error as with [Reply]. remove takes the handler
// out again; it may be called from the handler.
func On[A any](r Registrar, event string, h func(*Socket, A) error) (remove func()) {
	return typed(r, event, copied[A](), func(e *Event) error {
		a, err := argument[A](e, 0)
		if err == nil {
			err = e.guard(func() error { return h(e.socket, a) })
		}
		return e.done(err)
	})
}

// On2 is [On] for an event with two arguments.
func On2[A, B any](r Registrar, event string, h func(*Socket, A, B) error) (remove func()) {
	return typed(r, event, copied[A]() && copied[B](), func(e *Event) error {
		a, err := argument[A](e, 0)
		b, err := argumentAfter[B](e, 1, err)
		if err == nil {
			err = e.guard(func() error { return h(e.socket, a, b) })
		}
		return e.done(err)
	})
}

// On3 is [On] for an event with three arguments.
func On3[A, B, C any](r Registrar, event string, h func(*Socket, A, B, C) error) (remove func()) {
	return typed(r, event, copied[A]() && copied[B]() && copied[C](), func(e *Event) error {
		a, err := argument[A](e, 0)
		b, err := argumentAfter[B](e, 1, err)
		c, err := argumentAfter[C](e, 2, err)
		if err == nil {
			err = e.guard(func() error { return h(e.socket, a, b, c) })
		}
		return e.done(err)
	})
}

// Once is [On] for the next event of that name only: from any client, or on a
// *[Socket] from that one.
func Once[A any](r Registrar, event string, h func(*Socket, A) error) (remove func()) {
	var called atomic.Bool
	registered := make(chan struct{})
	remove = typed(r, event, copied[A](), func(e *Event) error {
		if !called.CompareAndSwap(false, true) {
			return nil
		}
		<-registered
		remove()
		a, err := argument[A](e, 0)
		if err == nil {
			err = e.guard(func() error { return h(e.socket, a) })
		}
		return e.done(err)
	})
	close(registered)
	return remove
}

// Reply registers a handler whose result answers the acknowledgement of the
// client. An error answers it with {"error": text}: the text of a
// [ClientError], "invalid arguments" for a [DecodeError], "internal error" for
// any other. Errors that are no ClientError go to the log and the error
// handler.
func Reply[A, R any](r Registrar, event string, h func(*Socket, A) (R, error)) (remove func()) {
	return typed(r, event, copied[A](), func(e *Event) error {
		a, err := argument[A](e, 0)
		if err != nil {
			return e.fail(err)
		}
		v, err := guarded(e, func() (R, error) { return h(e.socket, a) })
		return e.answer(v, err)
	})
}

// Reply2 is [Reply] for an event with two arguments.
func Reply2[A, B, R any](r Registrar, event string, h func(*Socket, A, B) (R, error)) (remove func()) {
	return typed(r, event, copied[A]() && copied[B](), func(e *Event) error {
		a, err := argument[A](e, 0)
		b, err := argumentAfter[B](e, 1, err)
		if err != nil {
			return e.fail(err)
		}
		v, err := guarded(e, func() (R, error) { return h(e.socket, a, b) })
		return e.answer(v, err)
	})
}

// Reply3 is [Reply] for an event with three arguments.
func Reply3[A, B, C, R any](r Registrar, event string, h func(*Socket, A, B, C) (R, error)) (remove func()) {
	return typed(r, event, copied[A]() && copied[B]() && copied[C](), func(e *Event) error {
		a, err := argument[A](e, 0)
		b, err := argumentAfter[B](e, 1, err)
		c, err := argumentAfter[C](e, 2, err)
		if err != nil {
			return e.fail(err)
		}
		v, err := guarded(e, func() (R, error) { return h(e.socket, a, b, c) })
		return e.answer(v, err)
	})
}

// argument decodes the argument with index i. One that the client left out is
// the zero value.
func argument[A any](e *Event, i int) (a A, err error) {
	v, codec := &e.values, e.ns.srv.cfg.codec
	if 1+i >= len(v.spans) || codec.Simple(v.spans[1+i].Of(v.data), v.attachments, &a) {
		return a, nil
	}
	// Not a itself, which would be allocated for simple arguments, too.
	p := new(A)
	err = v.one(codec, 1, i, p)
	return *p, err
}

// argumentAfter is argument if there was no error before.
func argumentAfter[A any](e *Event, i int, err error) (A, error) {
	if err != nil {
		var zero A
		return zero, err
	}
	return argument[A](e, i)
}

// typed registers a handler that decodes the arguments of an event and gives the
// event itself to nobody. With copied, what it decodes is all its own, too.
// Another Registrar than those of the package may do more in Handle.
func typed(r Registrar, event string, copied bool, h func(*Event) error) (remove func()) {
	switch r := r.(type) {
	case *Server:
		return r.register(&r.handlers, event, h, copied)
	case *Namespace:
		return r.srv.register(&r.handlers, event, h, copied)
	case *Socket:
		return r.ns.srv.register(r.registry(), event, h, copied)
	}
	return r.Handle(event, h)
}

// copied reports whether a decoded A surely holds nothing of the JSON text: a
// type that decodes itself should copy what it keeps, but may not.
func copied[A any]() bool { return !args.DecodesItself(reflect.TypeFor[A]()) }

// guarded calls a handler whose client waits for an answer also if it panics.
func guarded[R any](e *Event, h func() (R, error)) (v R, err error) {
	err = e.guard(func() error {
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
