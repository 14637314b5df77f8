package adapter

import "sync"

// shardCount is how many parts the index has. It is the number of bits of
// shardSet.
const shardCount = 64

// A shard holds the rooms and the sockets whose names fall into it: a room and
// a socket of one name are found together.
type shard struct {
	mu      sync.RWMutex
	rooms   map[string]*room
	ids     map[string]Socket
	sockets memberList

	_ [40]byte // keeps the locks of two shards off one cache line
}

// room is a room with at least one member.
type room struct {
	name    string
	members memberList
}

// memberList is a set of sockets, compact so that a broadcast walks over
// adjoining memory. The seat of sockets[i] is seats[i], whose index is i.
type memberList struct {
	sockets []Socket
	seats   []*place
}

// minShrink is the capacity from which a list that became much smaller gives
// memory back.
const minShrink = 64

func (l *memberList) add(s Socket, seat *place) {
	seat.index = len(l.sockets)
	l.sockets = append(l.sockets, s)
	l.seats = append(l.seats, seat)
}

// remove puts the last member on the seat that becomes free.
func (l *memberList) remove(seat *place) {
	i, last := seat.index, len(l.sockets)-1
	l.sockets[i], l.seats[i] = l.sockets[last], l.seats[last]
	l.seats[i].index = i
	l.sockets[last], l.seats[last] = nil, nil
	l.sockets, l.seats = l.sockets[:last], l.seats[:last]
	if c := cap(l.sockets); c >= minShrink && last < c/4 {
		l.sockets = append(make([]Socket, 0, c/2), l.sockets...)
		l.seats = append(make([]*place, 0, c/2), l.seats...)
	}
}

// join and leave are called with the lock of the shard. They report whether the
// room is new, or gone.
func (sh *shard) join(s Socket, m *Membership, name string) (created bool) {
	r := sh.rooms[name]
	if r == nil {
		created = true
		if sh.rooms == nil {
			sh.rooms = make(map[string]*room)
		}
		r = &room{name: name}
		sh.rooms[name] = r
	}
	seat := &place{room: r}
	r.members.add(s, seat)
	m.push(seat)
	return created
}

func (sh *shard) leave(m *Membership, i int) (deleted bool) {
	seat := m.places()[i]
	r := seat.room
	r.members.remove(seat)
	m.remove(i)
	if len(r.members.sockets) > 0 {
		return false
	}
	delete(sh.rooms, r.name)
	return true
}
