package zishang520

import (
	"sync"

	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter"
)

// rooms is the index in the form in which the server and its program look at
// it. It follows that of the cluster.
type rooms struct {
	mu      *sync.Mutex // for changes; a leaf, taken while the index is locked
	sockets *types.Map[socket.Room, *types.Set[socket.SocketId]]
	rooms   *types.Map[socket.SocketId, *types.Set[socket.Room]]
}

func newRooms() rooms {
	return rooms{
		mu:      new(sync.Mutex),
		sockets: &types.Map[socket.Room, *types.Set[socket.SocketId]]{},
		rooms:   &types.Map[socket.SocketId, *types.Set[socket.Room]]{},
	}
}

// join reports whether the socket was not in the room.
func (r rooms) join(room socket.Room, id socket.SocketId) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	in, _ := r.sockets.LoadOrStore(room, types.NewSet[socket.SocketId]())
	if in.Has(id) {
		return false
	}
	in.Add(id)
	of, _ := r.rooms.LoadOrStore(id, types.NewSet[socket.Room]())
	of.Add(room)
	return true
}

// leave reports whether the socket was in the room.
func (r rooms) leave(room socket.Room, id socket.SocketId) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	in, ok := r.sockets.Load(room)
	if !ok || !in.Delete(id) {
		return false
	}
	if in.Len() == 0 {
		r.sockets.Delete(room)
	}
	if of, ok := r.rooms.Load(id); ok {
		if of.Delete(room); of.Len() == 0 {
			r.rooms.Delete(id)
		}
	}
	return true
}

// members returns the sockets in at least one of the rooms, all if there are
// none.
func (r rooms) members(in *types.Set[socket.Room]) *types.Set[socket.SocketId] {
	found := types.NewSet[socket.SocketId]()
	if in == nil || in.Len() == 0 {
		found.Add(r.rooms.Keys()...)
		return found
	}
	for _, room := range in.Keys() {
		if set, ok := r.sockets.Load(room); ok {
			found.Add(set.Keys()...)
		}
	}
	return found
}

// RoomChanged implements adapter.RoomObserver.
func (h host) RoomChanged(change adapter.RoomChange, room, id string) {
	switch change {
	case adapter.RoomJoined:
		h.rooms.join(socket.Room(room), socket.SocketId(id))
	case adapter.RoomLeft:
		h.rooms.leave(socket.Room(room), socket.SocketId(id))
	}
	h.tell(change, socket.Room(room), socket.SocketId(id))
}

// tell emits the event of a change of a room, if somebody listens.
func (n *namespace) tell(change adapter.RoomChange, room socket.Room, id socket.SocketId) {
	name := types.EventName(change)
	if n.ListenerCount(name) == 0 {
		return
	}
	args := []any{room}
	if change == adapter.RoomJoined || change == adapter.RoomLeft {
		args = append(args, id)
	}
	n.queue.push(func() { n.Emit(name, args...) })
}
