package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/roomspan/roomspan/server"
)

const (
	maxText = 2000 // characters of a message
	maxName = 30   // characters of a name
)

// person is who a socket speaks for. It is the data of the socket, and so
// known to all nodes.
type person struct {
	Name string `json:"name"`
	Node string `json:"node"`
}

// said is a message of the chat.
type said struct {
	From string    `json:"from"`
	Node string    `json:"node"`
	Text string    `json:"text"`
	Time time.Time `json:"time"`
}

// member is somebody who is online.
type member struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Node string `json:"node"`
}

// roster is who is online. It is partial while the nodes do not hear each
// other: then it has the people of this node alone.
type roster struct {
	Members []member `json:"members"`
	Partial bool     `json:"partial"`
}

// redisState is what the page knows of the Redis.
type redisState struct {
	Embedded bool `json:"embedded"`
	Running  bool `json:"running"`
}

// welcome is what a client learns when it has connected.
type welcome struct {
	Node  string     `json:"node"`
	ID    string     `json:"id"`
	Addr  string     `json:"addr"`
	Redis redisState `json:"redis"`
}

// register gives the server of a node its handlers.
func register(n *node, b *bus) {
	io := n.io
	io.Use(func(s *server.Socket) error {
		var auth struct {
			Name string `json:"name"`
		}
		_ = json.Unmarshal(s.Handshake().Auth, &auth)
		name, err := cleanName(auth.Name)
		if err != nil {
			return &server.ConnectError{Message: err.Error()}
		}
		s.SetData(person{Name: name, Node: n.name})
		return nil
	})
	io.OnConnection(func(s *server.Socket) {
		_ = s.Emit("welcome", welcome{
			Node: n.name, ID: io.NodeID(), Addr: n.addr,
			Redis: redisState{Embedded: b.embedded(), Running: b.state()},
		})
		_ = io.Emit("people:changed")
	})
	io.OnDisconnect(func(*server.Socket, server.Reason) { _ = io.Emit("people:changed") })

	server.Reply(io, "say", func(s *server.Socket, text string) (bool, error) {
		text = strings.TrimSpace(text)
		if n := utf8.RuneCountInString(text); n == 0 || n > maxText {
			return false, server.Errorf("a message has 1 to %d characters", maxText)
		}
		p, _ := server.Data[person](s)
		return true, io.Emit("said", said{From: p.Name, Node: p.Node, Text: text, Time: time.Now()})
	})
	server.Reply(io, "rename", func(s *server.Socket, name string) (string, error) {
		name, err := cleanName(name)
		if err != nil {
			return "", err
		}
		s.SetData(person{Name: name, Node: n.name})
		return name, io.Emit("people:changed")
	})
	server.Reply(io, "people", func(s *server.Socket, _ any) (roster, error) { return people(s), nil })

	registerRedis(io, b)
}

// registerRedis lets the page stop and start the Redis, if it is ours.
func registerRedis(io *server.Server, b *bus) {
	server.Reply(io, "redis:set", func(_ *server.Socket, running bool) (bool, error) {
		if !b.embedded() {
			return false, server.Errorf("this Redis is not the example's own")
		}
		return running, b.set(running)
	})
	b.onChange(func(running bool) {
		_ = io.Local().Emit("redis", redisState{Embedded: true, Running: running})
	})
}

// people asks all nodes who is online.
func people(s *server.Socket) roster {
	ctx, cancel := context.WithTimeout(s.Context(), time.Second)
	defer cancel()
	sockets, err := s.Namespace().Fetch(ctx)
	r := roster{Members: []member{}, Partial: err != nil}
	for _, remote := range sockets {
		var p person
		if json.Unmarshal(remote.Data, &p) == nil && p.Name != "" {
			r.Members = append(r.Members, member{ID: remote.ID, Name: p.Name, Node: p.Node})
		}
	}
	slices.SortFunc(r.Members, func(a, b member) int {
		return strings.Compare(a.Node+"\x00"+a.Name+"\x00"+a.ID, b.Node+"\x00"+b.Name+"\x00"+b.ID)
	})
	return r
}

func cleanName(name string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName {
		return "", server.Errorf("a name has 1 to %d characters", maxName)
	}
	return name, nil
}
