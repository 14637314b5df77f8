package cluster_test

import (
	"testing"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// python starts a node on python-socketio; more are flags of peer.py.
func python(t *testing.T, redis *peer.RedisServer, more ...string) *peer.Process {
	t.Helper()
	p := peer.Python(t, "peer.py", append([]string{"--redis", redis.URL() + "/0"}, more...)...)
	p.Listening()
	return p
}

// TestPythonFleet has a node of Roomspan and one of python-socketio in one Redis: one as it is installed, which writes
// pickle, and one that writes what later versions do.
func TestPythonFleet(t *testing.T) {
	peer.Need(t, "node")
	for _, tt := range []struct {
		form, adapter string
		flags         []string
	}{
		{"old", "pysocketio-old", nil},
		{"new", "pysocketio", []string{"--json"}},
	} {
		t.Run(tt.form, func(t *testing.T) {
			redis := peer.Redis(t)
			theirs := python(t, redis, tt.flags...)
			ours := roomspan(t, redis, "-adapter", tt.adapter)
			peer.Checks(t, scriptLimit, "python.mjs", "--ours", ours.URL(), "--theirs", theirs.URL(), "--form", tt.form)
		})
	}
}
