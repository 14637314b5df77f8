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

// emitted runs the scenarios of an emitter, which is a program with its arguments, and clients of all nodes.
func emitted(t *testing.T, c *column, nodes []*peer.Process, program ...string) {
	t.Helper()
	urls := make([]string, len(nodes))
	for i, n := range nodes {
		urls[i] = n.URL()
	}
	text := func(list []string) string {
		b, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	args := []string{"--urls", text(urls), "--emitter", text(program)}
	if lacks := c.without(); lacks != nil {
		args = append(args, "--without", text(lacks))
	}
	c.record(t, peer.Checks(t, scriptLimit, "emitter.mjs", args...))
}

// script is the path of one of another language.
func script(t *testing.T, language, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", language, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPythonEmitters has emitters of both in the family of Python; TestOneRedis has those of the other families.
func TestPythonEmitters(t *testing.T) {
	t.Parallel()
	redis := peer.Redis(t)
	py := python(t, redis, "--json")
	ours := []*peer.Process{roomspan(t, redis, "-adapter", "python"), roomspan(t, redis, "-adapter", "python")}
	program := []string{peer.Build(t, "./test/testemitter"), "-redis", redis.URL(), "-adapter", "python"}
	t.Run("to roomspan", func(t *testing.T) { emitted(t, emitters.python, ours, program...) })
	t.Run("to python", func(t *testing.T) { emitted(t, emitters.toPython, []*peer.Process{py, py}, program...) })
	t.Run("of python", func(t *testing.T) {
		emitted(t, emitters.ofPython, ours, peer.Need(t, "/usr/bin/python3"), script(t, "python", "peer.py"),
			"--redis", redis.URL()+"/0", "--json", "--write-only")
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
			t.Parallel()
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
