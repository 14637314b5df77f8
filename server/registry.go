package server

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/roomspan/roomspan/server/internal/parser"
)

// A Registrar is where handlers are registered: a *[Server] for its main
// namespace, a *[Namespace], or a *[Socket] for itself alone.
type Registrar interface {
	// Handle registers a handler for an event, and returns what takes it out
	// again.
	Handle(event string, h func(*Event) error) (remove func())
}

// A middleware stands around the handlers of an event.
type middleware = func(e *Event, next func() error) error

// entry is a function that was registered. Its address is its identity:
// functions cannot be compared.
type entry[F any] struct {
	f     F
	lends bool // an event that f is given is as before when f has returned, and nobody holds on to it
}

// registry are the handlers of a namespace or a socket. Reading takes no lock;
// the zero value is empty, and so is nil.
type registry struct {
	mu  sync.Mutex
	set atomic.Pointer[handlerSet]
}

// handlerSet is what a registry holds at one time. It is never changed.
type handlerSet struct {
	events     map[string]*registered
	catchAll   []*entry[func(*Event) error]
	middleware []*entry[middleware]
}

// registered are the handlers of one event.
type registered struct {
	name     string
	handlers []*entry[func(*Event) error]
}

// change replaces the set by a copy that f has changed.
func (r *registry) change(f func(*handlerSet)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := new(handlerSet)
	if old := r.set.Load(); old != nil {
		*next = *old
	}
	f(next)
	r.set.Store(next)
}

func with[F any](list []*entry[F], e *entry[F]) []*entry[F] { return append(slices.Clip(list), e) }

func without[F any](list []*entry[F], e *entry[F]) []*entry[F] {
	return slices.DeleteFunc(slices.Clone(list), func(o *entry[F]) bool { return o == e })
}

func (r *registry) add(event string, e *entry[func(*Event) error]) (remove func()) {
	r.change(func(set *handlerSet) { set.replace(event, with(set.of(event), e)) })
	return func() {
		r.change(func(set *handlerSet) { set.replace(event, without(set.of(event), e)) })
	}
}

func (r *registry) addCatchAll(h func(*Event) error) (remove func()) {
	e := &entry[func(*Event) error]{f: h}
	r.change(func(set *handlerSet) { set.catchAll = with(set.catchAll, e) })
	return func() {
		r.change(func(set *handlerSet) { set.catchAll = without(set.catchAll, e) })
	}
}

func (r *registry) addMiddleware(f middleware) (remove func()) {
	e := &entry[middleware]{f: f}
	r.change(func(set *handlerSet) { set.middleware = with(set.middleware, e) })
	return func() {
		r.change(func(set *handlerSet) { set.middleware = without(set.middleware, e) })
	}
}

func (set *handlerSet) of(event string) []*entry[func(*Event) error] {
	if r := set.events[event]; r != nil {
		return r.handlers
	}
	return nil
}

// replace sets the handlers of an event in a set that is not shared yet.
func (set *handlerSet) replace(event string, handlers []*entry[func(*Event) error]) {
	events := maps.Clone(set.events)
	if events == nil {
		events = make(map[string]*registered)
	}
	if len(handlers) == 0 {
		delete(events, event)
	} else {
		events[event] = &registered{event, handlers}
	}
	set.events = events
}

// load returns what the registry holds; nil is a registry without anything.
func (r *registry) load() *handlerSet {
	if r != nil {
		if set := r.set.Load(); set != nil {
			return set
		}
	}
	return &noHandlers
}

var noHandlers handlerSet

// find returns the handlers of an event, and gives the event its name without
// allocating it once more.
func (set *handlerSet) find(ev *Event) []*entry[func(*Event) error] {
	if len(set.events) == 0 {
		return nil
	}
	name, err := parser.EventName(ev.values.spans[0].Of(ev.values.data))
	if err != nil {
		return nil
	}
	r := set.events[string(name)]
	if r == nil {
		return nil
	}
	if ev.name == "" { // written before the first handler may share the event
		ev.name = r.name
	}
	return r.handlers
}

func (s *Server) register(r *registry, event string, h func(*Event) error, lends bool) (remove func()) {
	if parser.Reserved(event) {
		s.cfg.logger.Error("socket.io: handler for a reserved event", "event", event)
		if f := s.cfg.errorHandler; f != nil {
			f(nil, event, ErrReservedEvent)
		}
		return func() {}
	}
	return r.add(event, &entry[func(*Event) error]{h, lends})
}
