package adapter

import (
	"sync"
	"sync/atomic"
)

// Membership is where [Local] keeps the rooms of one socket. The zero value is
// ready for use; it belongs to one Socket, one Local, and is not copied. Its
// methods may be called concurrently.
//
// Lock order: Membership.mu comes before the lock of a shard. Broadcasts hold
// locks of shards and read rooms without mu.
type Membership struct {
	mu sync.Mutex

	// home is the place in the set of all sockets: nil before the first Add,
	// and gone after DelAll.
	home *place

	// id is the id of the socket while it is known to the index.
	id atomic.Pointer[string]

	// rooms are the places in rooms, in the order of joining. The list is
	// replaced, never changed, under mu and the lock of the shard of the room
	// that is joined or left. So whoever holds that lock for reading sees a
	// room here if and only if it sees the socket in the room.
	rooms atomic.Pointer[[]*place]

	// track is nil unless the index keeps packets for recovery. It is set by
	// the first Add.
	track *track
}

// gone is the home of all sockets that have been taken out of the index.
var gone = new(place)

// place is a seat in a list of members.
type place struct {
	// room is constant, and nil for the seat in the set of all sockets.
	room *room

	// index is guarded by the lock of the shard that holds the list.
	index int
}

// Rooms returns the names of the rooms of the socket in a new slice: first its
// own id, then the others in the order of joining. It is nil while the index
// does not know the socket.
func (m *Membership) Rooms() []string {
	id := m.id.Load()
	if id == nil {
		return nil
	}
	places := m.places()
	names := make([]string, 1, 1+len(places))
	names[0] = *id
	for _, p := range places {
		names = append(names, p.room.name)
	}
	return names
}

func (m *Membership) places() []*place {
	if p := m.rooms.Load(); p != nil {
		return *p
	}
	return nil
}

// find returns the position of a room in the list, or -1.
func (m *Membership) find(name string) int {
	for i, p := range m.places() {
		if p.room.name == name {
			return i
		}
	}
	return -1
}

// push adds a place. The new list may share its array with the old one, whose
// readers do not look beyond its length.
func (m *Membership) push(p *place) {
	places := append(m.places(), p)
	m.rooms.Store(&places)
}

// remove takes out the place at i. The last one is cut off without a copy,
// and without spare capacity: a push must not write where old readers look.
func (m *Membership) remove(i int) {
	old := m.places()
	places := old[:i:i]
	if i < len(old)-1 {
		places = append(places, old[i+1:]...)
	}
	m.rooms.Store(&places)
}

// inRoom reports whether the socket is in any of rooms.
func (m *Membership) inRoom(rooms []*room) bool {
	if len(rooms) == 0 {
		return false
	}
	for _, p := range m.places() {
		for _, r := range rooms {
			if p.room == r {
				return true
			}
		}
	}
	return false
}
