package redis

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// privateLength is how long, in UTF-16 units, Node takes the id of a socket to
// be: what is for such a room alone goes on the channel of all in mode Dynamic.
const privateLength = 20

func looksPrivate(room string) bool {
	units := 0
	for _, r := range room {
		units++
		if r > 0xFFFF {
			units++
		}
	}
	return units == privateLength
}

// apart reports whether a room, or a socket, has a channel of its own.
func (n *shardedNamespace) apart(room string) bool {
	switch n.mode {
	case Dynamic:
		// A short way for most names: no unit takes less than a byte.
		return len(room) < privateLength || len(room) > privateLength*utf8.UTFMax || !looksPrivate(room)
	case DynamicPrivate:
		return true
	}
	return false
}

// freshTime is how long a room whose members this node has changed, and
// calmTime how long after an outage every room, is reached through the channel
// of all: until all nodes hear its own. After an outage they return within the
// longest pause between two attempts, and the time of one.
const (
	freshTime = 5 * time.Second
	calmTime  = maxBackoff + ioTimeout + time.Second
)

// calm reports whether the nodes that have a room hear its channel.
func (n *shardedNamespace) calm(room string) bool {
	return n.backend.link.upFor() > n.backend.config.calm && !n.fresh.has(room)
}

// maxFresh bounds the rooms that are remembered.
const maxFresh = 10_000

// freshRooms are the rooms that this node lately made sockets join or leave.
// Beyond maxFresh of them, all rooms count as fresh.
type freshRooms struct {
	time time.Duration // constant

	mu    sync.Mutex
	until map[string]time.Time
	all   time.Time
}

func (f *freshRooms) add(rooms []string) {
	now := time.Now()
	until := now.Add(f.time)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil {
		f.until = make(map[string]time.Time)
	}
	for _, room := range rooms {
		if len(f.until) >= maxFresh {
			maps.DeleteFunc(f.until, func(_ string, t time.Time) bool { return t.Before(now) })
		}
		if len(f.until) >= maxFresh {
			clear(f.until)
			f.all = until
		}
		f.until[room] = until
	}
}

func (f *freshRooms) has(room string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.until) == 0 && f.all.IsZero() {
		return false
	}
	now := time.Now()
	if now.Before(f.all) {
		return true
	}
	until, ok := f.until[room]
	if ok && until.Before(now) {
		delete(f.until, room)
		return false
	}
	return ok
}

// roomWatcher is the host of a namespace, that listens to the rooms which have
// a member here.
type roomWatcher struct {
	adapter.Host
	namespace *shardedNamespace
	observer  adapter.RoomObserver // nil if the host is none
}

func newRoomWatcher(host adapter.Host, n *shardedNamespace) adapter.RoomObserver {
	w := &roomWatcher{Host: host, namespace: n}
	w.observer, _ = host.(adapter.RoomObserver)
	return w
}

// Unwrap returns the host that was given to the back-end, for [adapter.Join].
func (w *roomWatcher) Unwrap() adapter.Host { return w.Host }

// RoomChanged implements [adapter.RoomObserver].
func (w *roomWatcher) RoomChanged(change adapter.RoomChange, room, socketID string) {
	if w.observer != nil {
		w.observer.RoomChanged(change, room, socketID)
	}
	if !w.namespace.apart(room) {
		return
	}
	switch change {
	case adapter.RoomCreated:
		w.namespace.listen(room)
	case adapter.RoomDeleted:
		w.namespace.unlisten(room)
	}
}

func (n *shardedNamespace) roomSubscription(room string) subscription {
	return subscription{name: n.channel(room), sharded: true, room: true, user: n}
}

func (n *shardedNamespace) listen(room string)   { n.backend.sub.add(n.roomSubscription(room)) }
func (n *shardedNamespace) unlisten(room string) { n.backend.sub.remove(n.roomSubscription(room)) }

// shardedAdapter is the adapter of a namespace. Beyond that of the package
// cluster it listens to the ids of its sockets, where these have channels, and
// finds all rooms without a request for them, which the protocol has not got.
type shardedAdapter struct {
	*cluster.Adapter
	namespace *shardedNamespace

	// mu is taken before the locks of the index, for sockets with channels
	// only.
	mu  sync.Mutex
	ids map[string]struct{} // of the sockets with channels
}

// Add implements [adapter.Adapter].
func (a *shardedAdapter) Add(s adapter.Socket, rooms ...string) bool {
	id := s.ID()
	if !a.namespace.apart(id) {
		return a.Adapter.Add(s, rooms...)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.ids[id]; known {
		return a.Adapter.Add(s, rooms...)
	}
	if !a.Adapter.Add(s, rooms...) {
		return false
	}
	if a.ids == nil {
		a.ids = make(map[string]struct{})
	}
	a.ids[id] = struct{}{}
	a.namespace.listen(id)
	return true
}

// DelAll implements [adapter.Adapter].
func (a *shardedAdapter) DelAll(s adapter.Socket) {
	id := s.ID()
	if !a.namespace.apart(id) {
		a.Adapter.DelAll(s)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Adapter.DelAll(s)
	if _, known := a.ids[id]; known {
		delete(a.ids, id)
		a.namespace.unlisten(id)
	}
}

// Rooms implements [adapter.Adapter], from the rooms of all sockets.
func (a *shardedAdapter) Rooms(ctx context.Context) ([]string, error) {
	sockets, err := a.FetchSockets(ctx, adapter.Selector{})
	names := make(map[string]struct{})
	for _, s := range sockets {
		for _, room := range s.Rooms {
			if _, here := a.Lookup(room); room != s.ID && !here {
				names[room] = struct{}{}
			}
		}
	}
	return slices.Collect(maps.Keys(names)), err
}
