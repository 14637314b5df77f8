package redis_test

import (
	"fmt"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// A program tells its operators when the nodes lose each other. The back-end is
// what server.WithAdapter is given, so that the program has it at hand.
func ExampleBackend_OnStatus() {
	backend := redis.New("redis://localhost:6379")
	remove := backend.OnStatus(func(s adapter.Status) {
		if s.Connected {
			fmt.Println("the nodes hear each other")
		} else {
			fmt.Println("alone since", s.Since.Format(time.TimeOnly), "because", s.Err)
		}
	})
	defer remove()
	// io, err := server.New(server.WithAdapter(backend))
	if s := backend.Status(); !s.Connected {
		fmt.Println("alone so far:", s.Err)
	}
	// Output: alone so far: redis: not started
}
