package main

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/roomspan/roomspan/adapter/redis"
	"github.com/roomspan/roomspan/server"
)

//go:embed static
var static embed.FS

type nodeConfig struct{ name, addr string }

// node is one Roomspan server with a listener of its own. Nodes share nothing
// but the Redis; they might as well be processes on different machines.
type node struct {
	name string
	addr string
	io   *server.Server
	http *http.Server
	quit chan struct{}
	done chan struct{}
}

// startNode listens, and serves the page and the clients. An error of the
// listener later on goes to failed.
func startNode(cfg nodeConfig, b *bus, logger *slog.Logger, failed chan<- error) (*node, error) {
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", cfg.addr)
	if err != nil {
		return nil, err
	}
	// The one option that makes this server a node of a cluster:
	io, err := server.New(server.WithAdapter(redis.New(b.url)), server.WithLogger(logger))
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	n := &node{
		name: cfg.name,
		addr: l.Addr().String(),
		io:   io,
		quit: make(chan struct{}),
		done: make(chan struct{}),
	}
	register(n, b)
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.Handle("/", http.FileServerFS(files))
	n.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := n.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	go n.announce()
	return n, nil
}

// announce tells all clients of all nodes, once a second, that this node is
// alive: a page that has heard so lately knows that the nodes hear each other.
func (n *node) announce() {
	defer close(n.done)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = n.io.Volatile().Emit("node:alive", n.name)
		case <-n.quit:
			return
		}
	}
}

func (n *node) stop(ctx context.Context) {
	close(n.quit)
	<-n.done
	_ = n.io.Shutdown(ctx)
	_ = n.http.Shutdown(ctx)
}
