// Package pysocketio connects the nodes of a cluster through Redis in the
// family of python-socketio: its AsyncRedisManager and RedisManager, and
// external processes that only emit, with write_only=True. Versions from
// 5.15.1 are understood as they are, 5.14.0 to 5.15.0 with [WithOneArgument],
// earlier ones with [WithPickle].
//
//	io, err := server.New(server.WithAdapter(pysocketio.New("redis://localhost:6379")))
//
// Between nodes of Roomspan everything works as on any other back-end; what
// Python has no words for goes over a channel of their own, "socketio:roomspan",
// and answers over one for each node, "socketio:roomspan:<id>". A process that
// only emits is no node, and listens to the channel of the fleet only while it
// asks clients, since those of Python nodes answer there.
//
// With Python nodes it is as follows.
//
//   - Events reach all clients, the members of rooms, and one socket, of all
//     nodes, in both directions, with binary data. Of an event without
//     argument but null Python's clients get no argument.
//   - Python can skip sockets by their ids, and no rooms. An event that
//     excepts a room does not go to Python nodes at all, rather than to
//     someone who is excepted; it is counted as dropped. A name of 20 letters,
//     digits, "-" and "_" is taken for the id of a socket.
//   - Joining, leaving and disconnecting work for a socket of a Python node
//     that is named by its id, and for all members of a room that leave it
//     (Python's close_room). Members of a room that join another, or are
//     disconnected, are so on nodes of Roomspan only: Python has no words for
//     it. Joining and leaving need python-socketio 5.10. Python closes the
//     namespace of a socket, never the connection under it.
//   - Clients of Python nodes answer an event that asks for acknowledgements,
//     and clients here answer Python's, without binary data. A Python node
//     does not tell how many clients it asks: a call to more than one socket
//     lasts until its deadline, and says that answers may be missing, while
//     there are Python nodes.
//   - Fetching sockets, listing rooms, and events between servers concern
//     nodes of Roomspan only. The number of servers is that of all.
//
// Delivery, backlog and outages are as in package adapter/redis. Two fleets in
// one Redis need different channels. Whoever can publish on the Redis can
// speak for every node: the protocol authenticates nothing.
package pysocketio
