package server

import (
	"context"

	"github.com/roomspan/roomspan/adapter"
)

// RoomEvent is a change of a room on this node. A room is created by its first
// member here, before that one has joined, and deleted when the last one has
// left.
type RoomEvent struct {
	Change   adapter.RoomChange
	Room     string
	SocketID string // who joined or left
}

// OnRoom adds a function that is told of every change of a room on this node,
// in order, on a goroutine of the namespace; see [WithNoticeLimit]. Unlike
// Node it is not told of the rooms that are named by the ids of sockets.
func (ns *Namespace) OnRoom(f func(RoomEvent)) { appendTo(&ns.mu, &ns.onRoom, f) }

// RoomChanged implements adapter.RoomObserver.
func (h host) RoomChanged(change adapter.RoomChange, room, socketID string) {
	for n := h.ns; n != nil; n = n.parent {
		if len(*n.onRoom.Load()) == 0 {
			continue
		}
		h.ns.notify(func() {
			for _, f := range *n.onRoom.Load() {
				h.ns.call(string(change), nil, func() { f(RoomEvent{change, room, socketID}) })
			}
		})
	}
}

// settle waits until rooms that were joined are heard from other nodes, where
// that takes a round trip.
func (ns *Namespace) settle(rooms []string) {
	if a, ok := ns.adapter.(adapter.Settler); ok {
		a.Settle(rooms...)
	}
}

// AllRooms returns the names of all rooms of the namespace that have a member
// on any node, in no order. If ctx has no deadline it waits as long as
// [WithAckTimeout] says. When the time is up it returns those that are known
// and a *[MissingAnswersError] that counts nodes.
func (ns *Namespace) AllRooms(ctx context.Context) ([]string, error) {
	ctx, cancel := ns.deadline(ctx)
	defer cancel()
	return ns.adapter.Rooms(ctx)
}
