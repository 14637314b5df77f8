// Command jobs is a worker without clients that tells of its progress: to all
// sockets in the room "job:42", on whatever node of the cluster they are.
package main

import (
	"context"
	"flag"
	"log"
	"time"

	"github.com/roomspan/roomspan/adapter/redis"
	"github.com/roomspan/roomspan/server"
)

// Progress is what those who watch a job get.
type Progress struct {
	Job     string `json:"job"`
	Percent int    `json:"percent"`
}

func main() {
	url := flag.String("redis", "redis://localhost:6379", "URL of the Redis of the cluster")
	flag.Parse()
	emitter, err := server.NewEmitter(redis.New(*url))
	if err != nil {
		log.Fatal(err)
	}
	watchers := emitter.To("job:42")
	for percent := 0; percent <= 100; percent += 10 {
		if err := watchers.Emit("progress", Progress{"42", percent}); err != nil {
			log.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // work
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := emitter.Close(ctx); err != nil { // sends what is still queued
		log.Fatal(err)
	}
}
