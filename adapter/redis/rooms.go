package redis

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// roomBus is a namespace in which rooms have channels of their own.
type roomBus interface {
	bus

	// apart reports whether a room, or a socket, has a channel of its own.
	apart(room string) bool

	// roomSubscription returns what is subscribed to for one that has.
	roomSubscription(room string) subscription
}

// freshTime is how long a room whose members this node has changed, and
// calmTime how long after an outage every room, is reached through the channel
// of all: until all nodes hear its own. After an outage they return within the
// longest pause between two attempts, and the time of one.
const (
	freshTime = 5 * time.Second
	calmTime  = maxBackoff + ioTimeout + time.Second
)

// calm reports whether all nodes that have a room hear its channel: that no
// outage was of late.
func (b *Backend) calm() bool { return b.link.upFor() > b.config.calm }

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
	backend  *Backend
	bus      roomBus
	observer adapter.RoomObserver // nil if the host is none
}

func newRoomWatcher(host adapter.Host, b *Backend, n roomBus) adapter.RoomObserver {
	w := &roomWatcher{Host: host, backend: b, bus: n}
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
	if !w.bus.apart(room) {
		return
	}
	switch change {
	case adapter.RoomCreated:
		w.backend.sub.add(w.bus.roomSubscription(room))
	case adapter.RoomDeleted:
		w.backend.sub.remove(w.bus.roomSubscription(room))
	}
}

// roomAdapter is the adapter of a namespace in which rooms have channels.
// Beyond that of the package cluster it listens to the ids of its sockets,
// where these have channels.
type roomAdapter struct {
	*cluster.Adapter
	backend *Backend
	bus     roomBus

	// mu is taken before the locks of the index, for sockets with channels
	// only.
	mu  sync.Mutex
	ids map[string]struct{} // of the sockets with channels
}

var _ adapter.Settler = (*roomAdapter)(nil)

// Add implements [adapter.Adapter].
func (a *roomAdapter) Add(s adapter.Socket, rooms ...string) bool {
	id := s.ID()
	if !a.bus.apart(id) {
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
	a.backend.sub.add(a.bus.roomSubscription(id))
	return true
}

// DelAll implements [adapter.Adapter].
func (a *roomAdapter) DelAll(s adapter.Socket) {
	id := s.ID()
	if !a.bus.apart(id) {
		a.Adapter.DelAll(s)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Adapter.DelAll(s)
	if _, known := a.ids[id]; known {
		delete(a.ids, id)
		a.backend.sub.remove(a.bus.roomSubscription(id))
	}
}

// Settle implements [adapter.Settler].
func (a *roomAdapter) Settle(rooms ...string) {
	l, ok := a.backend.sub.(*channelListener)
	if !ok || !a.backend.link.isUp() {
		return
	}
	for _, room := range rooms {
		if a.bus.apart(room) && l.settling(a.bus.roomSubscription(room).name) {
			l.settled(context.Background())
			return // which waits for the others too
		}
	}
}
