package clients_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// TestQuietClients has clients that send nothing for several heartbeats: with short times, and for a minute with those
// that a program has which sets none.
func TestQuietClients(t *testing.T) {
	peer.Need(t, "node")
	for _, tt := range []struct {
		name  string
		full  bool
		quiet time.Duration
		args  []string
	}{
		{name: "short times", quiet: 5 * time.Second,
			args: []string{"-ping-interval", "1s", "-ping-timeout", "10s", "-write-timeout", "500ms"}},
		{name: "defaults", full: true, quiet: time.Minute},
	} {
		if tt.full && !peer.Full() {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := peer.Start(t, peer.Build(t, "./test/testserver"), append(tt.args, "-addr", "127.0.0.1:0", "-eio3")...)
			peer.Checks(t, 5*time.Minute, "quiet.mjs", "--url", p.URL(), "--quiet", fmt.Sprint(tt.quiet.Milliseconds()), "--old", "1")
		})
	}
}
