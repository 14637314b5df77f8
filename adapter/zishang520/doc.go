// Package zishang520 lets servers of github.com/zishang520/socket.io/v2 (v2.5.0)
// join a cluster by any back-end of this module: one of Redis, that of
// python-socketio, or several at once.
//
//	cluster, err := zishang520.New(redis.New("redis://localhost:6379"))
//	if err != nil {
//		log.Fatal(err)
//	}
//	io := socket.NewServer(nil, nil)
//	io.SetAdapter(cluster)
//
// SetAdapter comes before the first client, and [Cluster.Close] after the
// server's own Close.
//
// Rooms are kept in the index of this module, and broadcasts take the way
// through the server's engine on which none is lost: not that of frames encoded
// in advance, from which v2.5.0 drops all but the first of what it writes
// together. What its clients send is still handled by it, a goroutine for each
// event.
//
// What differs from its own adapters:
//
//   - An acknowledgement of a broadcast counts once for each client, with its
//     first argument, or nil.
//   - FetchSockets and acknowledged ServerSideEmit give their function also what
//     had come when the time was up, with an *[adapter.MissingAnswersError].
//   - A server is asked to compress what it delivers unless the sender said no.
//     Senders of v2.5.0 do, unless they call Compress(true).
//   - Connection state recovery does not work: PersistSession keeps nothing.
package zishang520
