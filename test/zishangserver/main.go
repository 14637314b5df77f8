// Command zishangserver is a server of zishang520/socket.io for the mixed fleets: it answers the events of
// contract.mjs that the scenarios of two nodes need. It prints "listening on ADDR" when it hears the other nodes.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter/zishang520"
	"github.com/roomspan/roomspan/test/internal/family"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "where to listen")
	var in family.Flags
	in.Define()
	flag.Parse()
	backend, err := in.Backend()
	if err != nil {
		log.Fatal(err)
	}
	cluster, err := zishang520.New(backend)
	if err != nil {
		log.Fatal(err)
	}
	io := socket.NewServer(nil, nil)
	io.SetAdapter(cluster)
	for _, name := range []string{"/", "/custom"} {
		serve(io.Of(name, nil))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cluster.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", l.Addr())
	http.Handle("/socket.io/", io.ServeHandler(nil))
	log.Fatal(http.Serve(l, nil))
}

func serve(nsp socket.Namespace) {
	emit(nsp.On("announce", func(args ...any) { emit(nsp.Local().Emit("announced", args[0])) }))
	emit(nsp.On("notified", func(args ...any) { emit(nsp.Local().Emit("msg", 0, args[0])) }))
	emit(nsp.On("asked", func(args ...any) { answer(args, map[string]any{"x": args[0]}) }))
	emit(nsp.On("connection", func(clients ...any) {
		s := clients[0].(*socket.Socket)
		on := func(event string, f func(args []any)) { emit(s.On(event, func(args ...any) { f(args) })) }
		on("bcast", func(args []any) { emit(nsp.Emit("msg", args...)) })
		on("burst", func(args []any) {
			for n := range int(args[0].(float64)) {
				emit(nsp.Emit("msg", n, nil))
			}
		})
		on("join", func(args []any) { s.Join(room(args[0])); answer(args) })
		on("leave", func(args []any) { s.Leave(room(args[0])); answer(args) })
		on("room", func(args []any) { emit(nsp.To(room(args[0])).Emit("msg", 0, args[1])) })
		on("others", func(args []any) { emit(s.Broadcast().Emit("msg", 0, args[0])) })
		on("announce", func(args []any) { emit(nsp.ServerSideEmit("announce", args[0])) })
		on("notify", func(args []any) { emit(nsp.ServerSideEmit("notified", args[0])) })
		on("kick", func(args []any) { nsp.In(room(args[0])).DisconnectSockets(false) })
		on("move", func(args []any) { nsp.In(room(args[0])).SocketsJoin(room(args[1])) })
		on("expel", func(args []any) { nsp.In(room(args[0])).SocketsLeave(room(args[1])) })
		questions(nsp, on)
		emit(s.Emit("auth", map[string]any{}))
	}))
}

// questions are the events whose answer needs other nodes.
func questions(nsp socket.Namespace, on func(string, func([]any))) {
	on("ask", func(args []any) {
		nsp.To(room(args[0])).Timeout(2*time.Second).EmitWithAck("question", args[1])(func(answers []any, _ error) {
			answer(args, answers)
		})
	})
	on("fetch", func(args []any) {
		nsp.In(room(args[0])).FetchSockets()(func(sockets []*socket.RemoteSocket, _ error) {
			members := []any{}
			for _, s := range sockets {
				members = append(members, map[string]any{"id": s.Id(), "rooms": s.Rooms().Keys()})
			}
			answer(args, members)
		})
	})
	on("poll", func(args []any) {
		emit(nsp.ServerSideEmitWithAck("asked", args[0])(func(answers []any, _ error) {
			first := []any{}
			for _, values := range answers {
				first = append(first, values.([]any)[0])
			}
			answer(args, first)
		}))
	})
}

func room(v any) socket.Room { return socket.Room(v.(string)) }

// answer calls the acknowledgement that is the last of the arguments.
func answer(args []any, values ...any) {
	args[len(args)-1].(socket.Ack)(values, nil)
}

func emit(err error) {
	if err != nil {
		log.Print(err)
	}
}
