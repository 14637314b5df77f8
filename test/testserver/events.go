package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/roomspan/roomspan/server"
)

type identity struct {
	ID   string `json:"id"`
	Node string `json:"node"`
}

type member struct {
	ID    string   `json:"id"`
	Rooms []string `json:"rooms"`
}

// register gives a namespace the events that the outside tests know.
func register(io *server.Server, ns *server.Namespace) {
	ns.OnConnection(func(s *server.Socket) { _ = s.Emit("auth", s.Handshake().Auth) })
	ns.Handle("message", func(e *server.Event) error {
		args, err := e.Args()
		if err != nil {
			return err
		}
		return e.Socket().Emit("message-back", args...)
	})
	ns.Handle("message-with-ack", func(e *server.Event) error {
		args, err := e.Args()
		if err != nil {
			return err
		}
		return e.Ack(args...)
	})
	server.On(ns, "echo", func(s *server.Socket, x any) error { return s.Emit("echo", x) })
	server.On(ns, "plain", func(s *server.Socket, x any) error { return s.Compress(false).Emit("echo", x) })
	registerRooms(ns)
	server.Reply(ns, "whoami", func(s *server.Socket, _ any) (identity, error) {
		return identity{ID: s.ID(), Node: io.NodeID()}, nil
	})
	registerRecovery(ns)
	registerCluster(ns)
	registerTold(ns)
}

// state is what a client gets back when it is recovered.
type state struct {
	Recovered bool     `json:"recovered"`
	Rooms     []string `json:"rooms"`
	Data      any      `json:"data"`
}

func registerRecovery(ns *server.Namespace) {
	server.Reply(ns, "set", func(s *server.Socket, data map[string]any) (bool, error) {
		s.SetData(data)
		return true, nil
	})
	server.Reply(ns, "state", func(s *server.Socket, _ any) (state, error) {
		data, _ := server.Data[map[string]any](s)
		return state{s.Recovered(), s.Rooms(), data}, nil
	})
}

// guard makes the namespace that lets in the token "sesame" alone.
func guard(io *server.Server) error {
	ns, err := io.Of("/guarded")
	if err != nil {
		return err
	}
	ns.Use(func(s *server.Socket) error {
		var auth struct{ Token string }
		if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil {
			return err
		}
		switch auth.Token {
		case "sesame":
			return nil
		case "data":
			return &server.ConnectError{Message: "refused", Data: map[string]int{"code": 7}}
		}
		return &server.ConnectError{Message: "wrong token"}
	})
	return nil
}

func registerRooms(ns *server.Namespace) {
	server.On2(ns, "bcast", func(_ *server.Socket, n int, x any) error { return ns.Emit("msg", n, x) })
	server.On(ns, "join", func(s *server.Socket, room string) error {
		s.Join(room)
		return nil
	})
	server.On(ns, "leave", func(s *server.Socket, room string) error {
		s.Leave(room)
		return nil
	})
	server.On2(ns, "room", func(_ *server.Socket, room string, x any) error { return ns.To(room).Emit("msg", 0, x) })
	server.On(ns, "others", func(s *server.Socket, x any) error { return s.Broadcast().Emit("msg", 0, x) })
	server.Reply(ns, "rooms", func(s *server.Socket, _ any) ([]string, error) { return s.Rooms(), nil })
}

func registerCluster(ns *server.Namespace) {
	ns.Handle("ask", func(e *server.Event) error {
		var (
			room string
			x    any
		)
		if err := e.Decode(&room, &x); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(e.Socket().Context(), 2*time.Second)
		defer cancel()
		answers, err := server.CallAll[any](ctx, ns.To(room), "question", x)
		if aerr := e.Ack(answers); aerr != nil {
			return aerr
		}
		return err
	})
	ns.Handle("fetch", func(e *server.Event) error {
		var room string
		if err := e.Decode(&room); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(e.Socket().Context(), 2*time.Second)
		defer cancel()
		sockets, err := ns.To(room).Fetch(ctx)
		members := make([]member, len(sockets))
		for i, s := range sockets {
			members[i] = member{ID: s.ID, Rooms: s.Rooms}
		}
		if aerr := e.Ack(members); aerr != nil {
			return aerr
		}
		return err
	})
	server.On2(ns, "move", func(_ *server.Socket, from, to string) error { return ns.To(from).Join(to) })
	server.On2(ns, "expel", func(_ *server.Socket, from, to string) error { return ns.To(from).Leave(to) })
	registerServerSide(ns)
	server.On(ns, "announce", func(_ *server.Socket, x any) error { return ns.ServerSideEmit("announce", x) })
	server.On(ns.ServerSide(), "announce", func(_ *server.Socket, x any) error { return ns.Local().Emit("announced", x) })
	server.On(ns, "kick", func(_ *server.Socket, room string) error { return ns.To(room).Disconnect(false) })
}

type polled struct {
	X any `json:"x"`
}

func registerServerSide(ns *server.Namespace) {
	server.On(ns, "notify", func(_ *server.Socket, x any) error { return ns.ServerSideEmit("notified", x) })
	ns.Handle("poll", func(e *server.Event) error {
		var x any
		if err := e.Decode(&x); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(e.Socket().Context(), 2*time.Second)
		defer cancel()
		answers, err := server.CallServers[any](ctx, ns, "asked", x)
		if aerr := e.Ack(answers); aerr != nil {
			return aerr
		}
		return err
	})
	server.On(ns.ServerSide(), "notified", func(_ *server.Socket, x any) error { return ns.Local().Emit("msg", 0, x) })
	server.Reply(ns.ServerSide(), "asked", func(_ *server.Socket, x any) (polled, error) { return polled{x}, nil })
}
