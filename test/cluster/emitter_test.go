package cluster_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/pysocketio"
	redisadapter "github.com/roomspan/roomspan/adapter/redis"
	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/servertest"
	"github.com/roomspan/roomspan/test/internal/peer"
)

// emitted runs the scenarios of an emitter, which is a program with its arguments, and two nodes.
func emitted(t *testing.T, a, b *peer.Process, program ...string) {
	t.Helper()
	emitter, err := json.Marshal(program)
	if err != nil {
		t.Fatal(err)
	}
	peer.Checks(t, scriptLimit, "emitter.mjs", "--a", a.URL(), "--b", b.URL(), "--emitter", string(emitter))
}

// TestEmitters has a node of Roomspan and one of Node in the same Redis, and emitters of both.
func TestEmitters(t *testing.T) {
	nodejs := peer.Need(t, "node")
	redis := peer.Redis(t)
	ours, theirs := roomspan(t, redis), node(t, redis)
	t.Run("roomspan", func(t *testing.T) {
		emitted(t, ours, theirs, peer.Build(t, "./test/testemitter"), "-redis", redis.URL())
	})
	t.Run("@socket.io/redis-emitter", func(t *testing.T) {
		script, err := filepath.Abs(filepath.Join("..", "node", "emitter-redis.mjs"))
		if err != nil {
			t.Fatal(err)
		}
		emitted(t, ours, theirs, nodejs, script, "--redis", redis.URL())
	})
}

// TestEmitterIsNoNode shows that a process that only emits is neither counted by the others nor waited for, and hears
// nothing but answers, in the families where Redis counts who listens.
func TestEmitterIsNoNode(t *testing.T) {
	for name, tt := range map[string]struct {
		backend func(url string) adapter.Backend
		count   int // a node that shares two fleets counts twice
	}{
		"classic": {func(url string) adapter.Backend { return redisadapter.New(url) }, 2},
		"sharded": {func(url string) adapter.Backend {
			return redisadapter.New(url, redisadapter.WithSharded(redisadapter.Static))
		}, 2},
		"streams":    {func(url string) adapter.Backend { return redisadapter.New(url, redisadapter.WithStreams()) }, 2},
		"pysocketio": {func(url string) adapter.Backend { return pysocketio.New(url) }, 2},
		"joined":     {func(url string) adapter.Backend { return adapter.Join(redisadapter.New(url), pysocketio.New(url)) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			redis := peer.Redis(t)
			ctx, cancel := context.WithTimeout(t.Context(), scriptLimit)
			defer cancel()
			var nodes [2]*server.Server
			for i := range nodes {
				io, err := server.New(server.WithAdapter(tt.backend(redis.URL())))
				if err != nil {
					t.Fatal(err)
				}
				defer io.Shutdown(context.Background())
				server.Reply(io.ServerSide(), "ping", func(*server.Socket, any) (string, error) { return "pong", nil })
				if err := io.Ready(ctx); err != nil {
					t.Fatal(err)
				}
				nodes[i] = io
			}
			e, err := server.NewEmitter(tt.backend(redis.URL()))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close(context.Background())
			if err := e.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			if n, err := nodes[0].ServerCount(ctx); err != nil || n != tt.count {
				t.Errorf("%d nodes: %v", n, err)
			}
			answers, err := server.CallServers[string](ctx, nodes[0].Namespace, "ping")
			if err != nil || len(answers) != 1 {
				t.Errorf("answers of the other nodes %q: %v", answers, err)
			}
			servertest.Connect(t, nodes[1])
			found, err := e.Fetch(ctx)
			if err != nil || len(found) != 1 {
				t.Errorf("the emitter finds %d sockets: %v", len(found), err)
			}
		})
	}
}
