package adapter

import (
	"context"
	"time"
)

var _ Recoverer = (*memoryAdapter)(nil)

// Broadcast implements [Adapter].
func (a *memoryAdapter) Broadcast(p *Packet, sel Selector, flags Flags) error {
	l := a.kept
	if l == nil || flags.Volatile || sel.Remote {
		return a.Local.Broadcast(p, sel, flags)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	p, number := l.append(p, sel)
	a.host.Deliver(p, flags, noting(number, a.Sockets(sel)))
	return nil
}

// PersistSession implements [Recoverer]. A session whose socket is not in the
// index is not kept.
func (a *memoryAdapter) PersistSession(s Session) {
	l := a.kept
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	socket, ok := a.Lookup(s.SocketID)
	if !ok || l.closed {
		return
	}
	t := socket.Membership().track
	now := time.Now()
	l.expire(now)
	l.insert(&keptSession{
		Session:  s,
		at:       now,
		changed:  t.changed.Load(),
		sent:     mark{t.last, l.next.Load()},
		restored: t.restored,
	})
}

// RestoreSession implements [Recoverer]. It does not wait for anything.
func (a *memoryAdapter) RestoreSession(_ context.Context, privateID, offset string, admit func(Session, []*Packet) bool) error {
	l := a.kept
	if l == nil {
		return ErrNoSession
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.expire(time.Now())
	e := l.sessions[privateID]
	if e == nil {
		return ErrNoSession
	}
	s := e.Value.(*keptSession)
	received, ok := parseOffset(offset)
	from := uint64(0)
	if ok {
		from, ok = l.since(s, received)
	}
	if !ok {
		l.remove(e) // nor will it ever be
		return ErrNoSession
	}
	missed, last := l.missed(s, from)
	if !admit(s.Session, missed) {
		return nil
	}
	l.remove(e)
	if socket, ok := a.Lookup(s.SocketID); ok {
		// The client may be cut off again before it has received the missed.
		t := socket.Membership().track
		t.last = max(received, last)
		t.restored = mark{received, from}
		t.changed.Store(s.changed)
	}
	return nil
}
