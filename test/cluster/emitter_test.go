package cluster_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

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
