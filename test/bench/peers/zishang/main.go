// Command zishang is the Socket.IO server of zishang520 for the benchmark.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/zishang520/socket.io/v2/socket"
)

func main() {
	opts := socket.DefaultServerOptions()
	if ms, err := strconv.Atoi(os.Getenv("PING_INTERVAL")); err == nil {
		opts.SetPingInterval(time.Duration(ms) * time.Millisecond)
	}
	io := socket.NewServer(nil, opts)
	_ = io.On("connection", func(clients ...any) {
		client := clients[0].(*socket.Socket)
		_ = client.On("echo", func(args ...any) { _ = client.Emit("echo", args...) })
		_ = client.On("bcast", func(args ...any) { _ = io.Emit("msg", args...) })
		_ = client.On("join", func(args ...any) { client.Join(socket.Room(args[0].(string))) })
		_ = client.On("leave", func(args ...any) { client.Leave(socket.Room(args[0].(string))) })
		_ = client.On("room", func(args ...any) {
			_ = io.To(socket.Room(args[0].(string))).Emit("msg", 0, args[1])
		})
	})
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening")
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io.ServeHandler(nil))
	if cert := os.Getenv("TLS_CERT"); cert != "" {
		log.Fatal(http.ServeTLS(l, mux, cert, os.Getenv("TLS_KEY")))
	}
	log.Fatal(http.Serve(l, mux))
}
