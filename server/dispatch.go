package server

import (
	"context"
	"errors"
	"runtime/debug"
)

// handle runs what is registered for an event: middleware around all,
// catch-all handlers, then those of its name; of the namespace before those of
// the socket.
func (s *Socket) handle(ev *Event) {
	s.ns.srv.counters.events.Add(1)
	sets := [3]*handlerSet{&noHandlers, s.ns.handlers.load(), s.handlers.Load().load()}
	if s.ns.parent != nil {
		sets[0] = s.ns.parent.handlers.load()
	}
	var chain []*entry[middleware]
	for _, set := range &sets {
		if len(set.middleware) > 0 {
			chain = append(chain, set.middleware...)
		}
		if ev.name == "" && len(set.middleware)+len(set.catchAll) > 0 {
			ev.name = ev.Name() // they may share the event before its handlers are found
		}
	}
	if chain == nil {
		s.runHandlers(ev, &sets, nil)
		return
	}
	ev.kept = true
	s.runMiddleware(ev, sets, chain)
}

// runHandlers runs the handlers of an event. Their errors are reported, or
// gathered for the middleware around them.
func (s *Socket) runHandlers(ev *Event, sets *[3]*handlerSet, gathered *[]error) {
	count := 0
	for _, set := range sets {
		count += s.runEach(ev, set.catchAll, gathered)
	}
	for _, set := range sets {
		count += s.runEach(ev, set.find(ev), gathered)
	}
	if count == 0 {
		s.ns.srv.counters.unhandled.Add(1)
	}
}

func (s *Socket) runEach(ev *Event, handlers []*entry[func(*Event) error], gathered *[]error) int {
	for _, h := range handlers {
		if !h.lends {
			ev.kept = true
		}
		err := s.guard(func() error { return h.f(ev) })
		switch {
		case err == nil:
		case gathered != nil:
			*gathered = append(*gathered, err)
		default:
			s.ns.srv.handlerError(s, ev.Name(), err)
		}
	}
	return len(handlers)
}

// runMiddleware runs an event through its middleware. What the outermost
// returns is reported; if the event did not get through, it also answers the
// client.
func (s *Socket) runMiddleware(ev *Event, sets [3]*handlerSet, chain []*entry[middleware]) {
	through := false
	var step func(i int) error
	step = func(i int) error {
		if i == len(chain) {
			through = true
			var errs []error
			s.runHandlers(ev, &sets, &errs)
			if len(errs) == 1 {
				return errs[0]
			}
			return errors.Join(errs...)
		}
		called := false
		return s.guard(func() error {
			return chain[i].f(ev, func() error {
				if called {
					return nil
				}
				called = true
				return step(i + 1)
			})
		})
	}
	err := step(0)
	if err != nil && !through {
		err = ev.fail(err)
	}
	if err != nil {
		s.ns.srv.handlerError(s, ev.Name(), err)
	}
}

func (s *Socket) guard(f func() error) error { return s.ns.srv.guard(f) }

// guard calls a function of the user and makes a panic an error.
func (s *Server) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.counters.panics.Add(1)
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// handlerError reports what a function of the user returned or panicked with.
// That the client has gone meanwhile is no news: its disconnection is.
func (s *Server) handlerError(socket *Socket, event string, err error) {
	defer func() { _ = recover() }() // who reports panics has nobody to report to
	id := ""
	if socket != nil {
		id = socket.id
		if errors.Is(err, ErrDisconnected) || errors.Is(err, context.Canceled) && !socket.Connected() {
			return
		}
	}
	s.counters.handlerErrors.Add(1)
	log := s.cfg.logger
	var p *PanicError
	if errors.As(err, &p) {
		log.Error("socket.io: panic in a handler", "event", event, "socket", id, "panic", p.Value, "stack", string(p.Stack))
	} else {
		log.Error("socket.io: handler failed", "event", event, "socket", id, "error", err)
	}
	if f := s.cfg.errorHandler; f != nil {
		f(socket, event, err)
	}
}
