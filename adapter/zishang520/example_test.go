package zishang520_test

import (
	"context"
	"log"
	"net/http"

	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter/redis"
	"github.com/roomspan/roomspan/adapter/zishang520"
)

func Example() {
	cluster, err := zishang520.New(redis.New("redis://localhost:6379"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = cluster.Close(context.Background()) }()
	io := socket.NewServer(nil, nil)
	io.SetAdapter(cluster)
	http.Handle("/socket.io/", io.ServeHandler(nil))
	log.Fatal(http.ListenAndServe(":3000", nil))
}
