package adapter

// A Settler is an [Adapter] over a bus that brings what is for a room alone
// only to the nodes that have subscribed to it, as some over Redis do. Add then
// takes effect on this node at once, and a round trip later for what other
// nodes send.
//
// The server waits with Settle where somebody may count on a socket being in a
// room: before Join returns to the program, and before the client learns that
// it is connected.
type Settler interface {
	Adapter

	// Settle waits until what other nodes publish for rooms, those named by
	// the ids of sockets included, reaches this node: for one second at most,
	// and not while the bus is away. Rooms without a member here are not
	// waited for. It may be called concurrently, and not while the index is
	// locked, nor by the goroutine that reads the bus.
	Settle(rooms ...string)
}
