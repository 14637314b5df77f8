package server

import (
	"errors"
	"regexp"
	"strconv"
)

// parentRule says which namespaces belong to a parent.
type parentRule struct {
	parent *Namespace
	match  func(name string, h Handshake) bool
}

// OfMatch returns a parent: a namespace for all namespaces whose whole names,
// with the leading slash, match the pattern. See [Server.OfFunc].
func (s *Server) OfMatch(pattern *regexp.Regexp) (*Namespace, error) {
	return s.OfFunc(func(name string, _ Handshake) bool { return pattern.MatchString(name) })
}

// OfFunc returns a parent: a namespace for all namespaces that f lets in. When
// a client asks for a namespace that there is not, the parents are tried in
// the order in which they were made, and the first makes it a child of its
// own. f may block; nobody but that client waits for it.
//
// Middleware, handlers and all other functions of a parent hold for its
// children too, and come before their own. What is emitted to a parent, or
// asked of it, reaches all children that this node has: clients in a namespace
// of which this node has no child, since it has no client there either, are
// not reached. Nobody can connect to the parent itself, whose name is "/_0",
// "/_1" and so on, as on Node.
//
// A child stays until Shutdown, or with [WithEmptyNamespaceCleanup] until it
// is empty; [WithNamespaceLimit] bounds their number.
func (s *Server) OfFunc(f func(name string, h Handshake) bool) (*Namespace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	parent := newNamespace(s, "/_"+strconv.Itoa(len(s.parents)))
	parent.adapter = children{parent}
	s.parents = append(s.parents, parentRule{parent, f})
	return parent, nil
}

// OnNamespace adds a function that is called for each namespace that is made,
// the main one excepted, before the first client joins it.
func (s *Server) OnNamespace(f func(*Namespace)) { appendTo(&s.mu, &s.onNamespace, f) }

// acquire returns a namespace for a client to join, or says whether a parent
// may let it in. Its user count keeps a child from being removed until
// release.
func (s *Server) acquire(name string) (ns *Namespace, perhaps bool) {
	s.mu.RLock()
	ns = s.namespaces[name]
	perhaps = len(s.parents) > 0
	s.mu.RUnlock()
	if ns == nil || ns.parent == nil {
		return ns, perhaps
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ns = s.namespaces[name]; ns != nil {
		ns.users++
	}
	return ns, perhaps
}

// resolve asks the parents for a namespace, and makes it; nil if none lets it
// in. It may block.
func (s *Server) resolve(name string, h Handshake) *Namespace {
	s.mu.RLock()
	parents := s.parents
	s.mu.RUnlock()
	for _, rule := range parents {
		match := false
		if err := s.guard(func() error { match = rule.match(name, h); return nil }); err != nil {
			s.handlerError(nil, "namespace", err)
		}
		if !match {
			continue
		}
		ns, err := s.open(name, rule.parent)
		if err != nil {
			s.cfg.logger.Error("socket.io: cannot open a namespace", "namespace", name, "error", err)
		}
		return ns
	}
	return nil
}

// errNamespaceLimit is the error of a child beyond WithNamespaceLimit.
var errNamespaceLimit = errors.New("server: too many namespaces")

// open returns the namespace of a name, and makes it if there is none. With a
// parent it is in use.
func (s *Server) open(name string, parent *Namespace) (*Namespace, error) {
	s.mu.Lock()
	for s.closing[name] != nil {
		closing := s.closing[name]
		s.mu.Unlock()
		<-closing
		s.mu.Lock()
	}
	ns := s.namespaces[name]
	known := ns != nil
	var err error
	if !known {
		ns, err = s.makeLocked(name, parent)
	}
	if s.closed {
		err = ErrClosed
	}
	if err == nil && parent != nil {
		ns.users++
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !known {
		s.announce(ns)
	}
	return ns, nil
}

func (s *Server) makeLocked(name string, parent *Namespace) (*Namespace, error) {
	switch {
	case s.closed:
		return nil, ErrClosed
	case parent != nil && s.children >= s.cfg.namespaces:
		s.counters.namespacesRefused.Add(1)
		return nil, errNamespaceLimit
	}
	ns := newNamespace(s, name)
	ns.parent = parent
	a, err := s.cfg.backend.Open(host{ns})
	if err != nil {
		return nil, err
	}
	ns.adapter = a
	ns.recovery = s.recovering(a)
	s.namespaces[name] = ns
	if parent != nil {
		s.children++
		if parent.kin == nil {
			parent.kin = make(map[*Namespace]struct{})
		}
		parent.kin[ns] = struct{}{}
	}
	return ns, nil
}

// announce tells the functions of OnNamespace.
func (s *Server) announce(ns *Namespace) {
	defer close(ns.announced)
	if ns.name == "/" {
		return
	}
	for _, f := range *s.onNamespace.Load() {
		ns.call("namespace", nil, func() { f(ns) })
	}
}

// release takes an acquire back, and removes a child that is not used any more.
func (s *Server) release(ns *Namespace) {
	if ns.parent == nil {
		return
	}
	s.mu.Lock()
	ns.users--
	if ns.users > 0 || !s.cfg.namespaceCleanup || s.closed {
		s.mu.Unlock()
		return
	}
	closing := make(chan struct{})
	delete(s.namespaces, ns.name)
	delete(ns.parent.kin, ns)
	s.children--
	s.closing[ns.name] = closing
	s.mu.Unlock()
	if err := ns.adapter.Close(); err != nil {
		s.cfg.logger.Error("socket.io: cannot close a namespace", "namespace", ns.name, "error", err)
	}
	s.mu.Lock()
	delete(s.closing, ns.name)
	s.mu.Unlock()
	close(closing)
}
