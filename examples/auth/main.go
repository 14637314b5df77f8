// Command auth lets clients in by a token, remembers who they are, and sends
// to a user wherever they are connected.
//
//	io("http://localhost:3000", {auth: {token: "ada-secret"}})
package main

import (
	"encoding/json"
	"log"
	"net/http"

	"github.com/roomspan/roomspan/server"
)

// User is what the server knows of who is connected.
type User struct {
	Name string `json:"name"`
}

// users stands for a database.
var users = map[string]User{"ada-secret": {"ada"}, "bob-secret": {"bob"}}

func authenticate(s *server.Socket) error {
	var auth struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil {
		return &server.ConnectError{Message: "the token is a string"}
	}
	user, ok := users[auth.Token]
	if !ok {
		return &server.ConnectError{Message: "unknown token", Data: map[string]string{"login": "/login"}}
	}
	s.SetData(user)
	s.Join("user:" + user.Name)
	return nil
}

// Message goes from one user to another.
type Message struct {
	From string `json:"from"`
	To   string `json:"to"`
	Text string `json:"text"`
}

func main() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	io.Use(authenticate)
	server.On(io, "message", func(s *server.Socket, m Message) error {
		from, _ := server.Data[User](s)
		m.From = from.Name // what the client says of itself does not count
		return io.To("user:"+m.To).Emit("message", m)
	})
	http.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
