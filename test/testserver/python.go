package main

import (
	"context"
	"time"

	"github.com/roomspan/roomspan/server"
)

// registerTold gives a namespace the events of test/python/peer.py.
func registerTold(ns *server.Namespace) {
	server.On(ns, "tell", func(_ *server.Socket, x any) error { return ns.Emit("told", x) })
	server.On2(ns, "tell-two", func(_ *server.Socket, x, y any) error { return ns.Emit("told", x, y) })
	ns.Handle("tell-nothing", func(*server.Event) error { return ns.Emit("told") })
	server.On2(ns, "tell-room", func(_ *server.Socket, room string, x any) error { return ns.To(room).Emit("told", x) })
	server.On2(ns, "tell-but", func(_ *server.Socket, ids []string, x any) error { return ns.Except(ids...).Emit("told", x) })
	server.Reply(ns, "enter", func(s *server.Socket, room string) (bool, error) {
		s.Join(room)
		return true, nil
	})
	server.On2(ns, "enter-there", func(_ *server.Socket, id, room string) error { return ns.To(id).Join(room) })
	server.On2(ns, "exit-there", func(_ *server.Socket, id, room string) error { return ns.To(id).Leave(room) })
	server.On(ns, "close", func(_ *server.Socket, room string) error { return ns.To(room).Leave(room) })
	server.On(ns, "drop", func(_ *server.Socket, id string) error { return ns.To(id).Disconnect(false) })
	call := func(ctx context.Context, room string, x any, timeout time.Duration) ([]any, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return server.CallAll[any](ctx, ns.To(room), "question", x)
	}
	server.Reply2(ns, "call", func(s *server.Socket, id string, x any) (any, error) {
		answers, err := call(s.Context(), id, x, 5*time.Second)
		if err != nil {
			return nil, err
		}
		return answers[0], nil
	})
	// Clients of Python are not counted, so that the call ends with its time.
	server.Reply2(ns, "call-room", func(s *server.Socket, room string, x any) ([]any, error) {
		answers, _ := call(s.Context(), room, x, time.Second)
		return answers, nil
	})
}
