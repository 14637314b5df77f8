package adapter

// A RoomChange says what happened to a room of this node, in the words of
// Socket.IO.
type RoomChange string

// The changes of rooms. A room is created by its first member, before that one
// has joined, and deleted when its last one has left.
const (
	RoomCreated RoomChange = "create-room"
	RoomJoined  RoomChange = "join-room"
	RoomLeft    RoomChange = "leave-room"
	RoomDeleted RoomChange = "delete-room"
)

// A RoomObserver is a [Host] that is told of the changes of rooms on its node.
// [Local] looks for it.
type RoomObserver interface {
	Host

	// RoomChanged is called for each change, in the order of the changes of
	// that room, and not for the rooms that are named by the ids of sockets.
	// The index is locked meanwhile: it must neither wait nor call the
	// adapter.
	RoomChanged(change RoomChange, room, socketID string)
}
