// Command hello is the smallest Roomspan program: what one client says, all
// clients hear.
package main

import (
	"log"
	"net/http"

	"github.com/roomspan/roomspan/server"
)

// Message is what clients send.
type Message struct {
	From string `json:"from"`
	Text string `json:"text"`
}

func main() {
	io, err := server.New()
	if err != nil {
		log.Fatal(err)
	}
	server.On(io, "chat:message", func(_ *server.Socket, m Message) error {
		return io.Emit("chat:message", m)
	})
	http.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe(":3000", nil))
}
