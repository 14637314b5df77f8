// Package server is a Socket.IO server: it speaks Engine.IO 4 and Socket.IO 5
// with the clients of Socket.IO 3 and 4, over WebSocket and HTTP long-polling,
// alone or as a node of a cluster.
//
//	func main() {
//		io, err := server.New()
//		if err != nil {
//			log.Fatal(err)
//		}
//		server.On(io, "join", func(s *server.Socket, room string) error {
//			s.Join(room)
//			return s.To(room).Emit("joined", s.ID())
//		})
//		server.Reply(io, "add", func(_ *server.Socket, n []int) (int, error) {
//			return n[0] + n[1], nil
//		})
//		http.Handle("/socket.io/", io)
//		log.Fatal(http.ListenAndServe(":3000", nil))
//	}
//
// # Terms
//
// A [Server] is an http.Handler; it owns no listener. A client opens one
// connection, the Engine.IO session, and joins [Namespace]s over it: it is a
// [Socket] in each. Sockets join rooms, on the server. A [Target] is a set of
// sockets on all nodes, named by rooms, to emit to, to ask, to move or to
// disconnect.
//
// Handlers are registered once for a namespace, not for each connection:
// [On] for events, [Reply] for events whose result answers the client's
// acknowledgement, [Namespace.Handle] for everything else. [Call] asks one
// client, [CallAll] all clients of a target.
//
// A namespace may also have middleware for events ([Namespace.UseEvent]) and
// listeners for all of them, in and out ([Namespace.OnAny],
// [Namespace.OnAnyOutgoing]). [Server.OfMatch] and [Server.OfFunc] make parents:
// namespaces for all that clients ask for by a pattern. Nodes talk to each other
// by [Namespace.ServerSideEmit]. A process without clients emits by an
// [Emitter].
//
// # What is promised
//
// Packets are delivered at most once. To one socket they arrive in the order
// in which one goroutine sent them, by whatever method, and also while the
// client changes from polling to WebSocket: while the connection lives nothing
// is lost, doubled or overtaken. What a client that is not connected misses, it
// misses, unless its state is recovered; see below.
//
// Nobody waits for a slow client. Emit queues; a client whose queue passes
// [WithQueueLimit], or that does not read for the time of [WithWriteTimeout],
// is disconnected with [ReasonSlowClient]. Volatile packets are dropped before
// it comes to that. In return a client that sends faster than its handlers work
// is not read any further at [WithInboundLimit], and TCP slows it down.
//
// In a cluster, delivery to the clients of the own node comes first and never
// waits for the bus. Without the bus it goes on unchanged, Emit returns at
// once, and calls to the whole cluster return what they have, with a
// [MissingAnswersError]. What becomes of packets for other nodes meanwhile is
// for the adapter to say.
//
// One bad client costs others nothing: malformed input closes the connection
// that it came from, a panic in a handler ends that event, is logged with its
// stack and counted, and does not leave the package.
//
// # HTTP
//
// The server does not look at the path of a request: the program's mux does, so
// that it can be mounted anywhere, and requests for other paths, WebSockets
// among them, are answered by the mux. Middleware of net/http takes the place
// of Node's engine middlewares and header events; a ResponseWriter that it puts
// in between must have Unwrap (see http.ResponseController), and must neither
// gather the answer nor limit its time, as http.TimeoutHandler does. The
// time-outs of http.Server do not end polls or WebSockets.
//
// Pages of other origins are refused unless [WithOrigins] names them. Requests
// of one client must reach one node while it polls: [WithCookie] helps a
// balancer to see to that, WithTransports(false, true) makes it needless.
//
// # Queues and limits
//
// There is no policy to choose for a client that does not read: dropping packets
// in the midst would break the promise above, so it is disconnected, and
// reconnects. Who would rather lose packets than the connection says so for each
// of them with Volatile, or looks at [Socket.Queued] first. Everything that is
// dropped, refused or closed at a limit is counted in [Stats].
//
// # Connection state recovery
//
// With [WithConnectionStateRecovery] a client that was cut off and reconnects
// within two minutes, with socket.io-client 4.6 or later, comes back as the
// socket that it was. There is a new *[Socket], for which [Socket.Recovered] is
// true; it has the id, the rooms and the data of the one before, and the client
// gets all packets that it missed, each once and in order, before any other. If
// that is not possible for every one of them the client is connected as a new
// one, as it is without the option, and its own "recovered" is false: the
// program then has to bring it up to date. [Namespace.OnDisconnect] handlers
// are called when the client is cut off and have returned before
// [Namespace.OnConnection] handlers are called for the recovered socket;
// middleware is skipped ([Recovery]).
//
// A client is recovered after the reasons after which Node does it, those of a
// network or server that fails, and after [ReasonSlowClient]; not after a
// disconnect by either side or [ReasonParseError]. It is not if
//
//   - it had been away too long, or [Recovery]'s other bounds were reached;
//   - it missed more than half of what [WithQueueLimit] lets wait for it;
//   - the server has not noticed yet that the connection is gone, which may
//     take it [WithPingInterval] and [WithPingTimeout] if the network says
//     nothing;
//   - it was the last client in the child of a parent, which is removed with
//     [WithEmptyNamespaceCleanup];
//   - packets were under way to it when it joined or left a room, and it is not
//     certain any more which ones were;
//   - the last event that it received was volatile with a string as its last
//     argument, which the client takes for an offset.
//
// Every packet has one more argument on its way to a client, the offset, a
// short string, except volatile ones and those that ask for an acknowledgement;
// these are not kept and not recovered. Nor is what [Socket.Emit] is told after
// the socket was cut off: it returns [ErrDisconnected]. To reach the client
// when it is back, emit to the room of its id.
//
// The client proves who it is by a private id that it got when it connected,
// and that can be used once for each time it was cut off. It is in
// [Handshake].Auth after a reconnection, as on Node ("pid" and "offset"), and
// should not be logged.
//
// Alone, a node keeps state and packets in its memory. With the Streams of Redis
// they are kept there, and clients are recovered on any node. Plain Pub/Sub has
// no place for them, nor has a node in several fleets ([adapter.Join]).
//
// # Concurrency
//
// All methods of all types may be called concurrently, from handlers too.
// Events of one socket are handled one at a time, in the order in which they
// were sent, by a goroutine that does not read: a handler may block, or wait
// with [Call] for its own client, and delays only the events of its own socket.
// Handlers of different sockets run at the same time.
//
// The middleware of [Namespace.Use] comes first, then the functions of
// [Namespace.OnConnection], then events, and those of [Namespace.OnDisconnect]
// last, once for each socket that was connected. [Socket.Context] ends as soon
// as the socket does, whatever still runs.
//
// Arguments are encoded before Emit returns, except []byte, which is sent as it
// is: do not change it afterwards. []byte travels as a binary attachment from
// wherever it stands in an argument, and arrives in []byte wherever a handler's
// type has it.
//
// # Cluster
//
// The one option [WithAdapter] makes the server a node of a cluster; no other
// line of a program changes. The package adapter/redis has adapters for Redis,
// by which servers on Node can join, too. [Server.Ready] tells a probe when
// this node hears the others.
package server
