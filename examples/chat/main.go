// Command chat is a chat on two nodes: two Roomspan servers on two ports of
// this process, joined by a Redis that is embedded in it too. A browser tab on
// each talks to the other. A button on the page takes the Redis away and
// brings it back.
//
//	go run ./examples/chat
//	go run ./examples/chat -redis redis://localhost:6379
//	go run ./examples/chat -redis redis://localhost:6379 -addr 127.0.0.1:3001 -name A
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	redisURL := flag.String("redis", "", "URL of a Redis, such as redis://localhost:6379; none: one that is embedded")
	addr := flag.String("addr", "", "address of the only node of this process; none: two nodes")
	name := flag.String("name", "A", "name of the node, with -addr")
	addrA := flag.String("addr-a", "127.0.0.1:3001", "address of node A")
	addrB := flag.String("addr-b", "127.0.0.1:3002", "address of node B")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	nodes := []nodeConfig{{name: "A", addr: *addrA}, {name: "B", addr: *addrB}}
	if *addr != "" {
		nodes = []nodeConfig{{name: *name, addr: *addr}}
	}
	if err := run(ctx, *redisURL, nodes); err != nil {
		log.Fatal("chat: ", err)
	}
}

// run serves the nodes until ctx ends.
func run(ctx context.Context, redisURL string, configs []nodeConfig) error {
	bus, err := openBus(redisURL)
	if err != nil {
		return err
	}
	defer bus.close()
	if bus.embedded() && len(configs) == 1 {
		log.Print("One node with a Redis of its own: give it -redis URL to meet nodes of other processes.")
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var nodes []*node
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, n := range nodes {
			n.stop(ctx)
		}
	}()
	failed := make(chan error, len(configs))
	for _, cfg := range configs {
		n, err := startNode(cfg, bus, logger.With("node", cfg.name), failed)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
		fmt.Println("listening on", n.addr)
		fmt.Printf("  node %s: http://%s/\n", n.name, n.addr)
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}
