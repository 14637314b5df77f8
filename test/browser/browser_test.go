// Package browser_test drives the chat example, and a page of an old client, in
// a real Chromium.
package browser_test

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/test/internal/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(peer.Exit)) }

// TestChat has two tabs on two nodes talk to each other, through a stop and a
// start of the Redis between them. ROOMSPAN_SCREENSHOTS names a folder that
// keeps the screenshots, for a look at them.
func TestChat(t *testing.T) {
	t.Setenv("CHROMIUM", peer.Need(t, "chromium"))
	peer.Need(t, "node")
	shots := os.Getenv("ROOMSPAN_SCREENSHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	chat := peer.Start(t, peer.Build(t, "./examples/chat"), "-addr-a", "127.0.0.1:0", "-addr-b", "127.0.0.1:0")
	a, b := chat.URL(), "http://"+chat.Listening()
	peer.Checks(t, 4*time.Minute, "browser.mjs", "--a", a, "--b", b, "--shots", shots)
}

// TestJSONPInBrowser has the client of Socket.IO 2 poll with script elements and
// forms.
func TestJSONPInBrowser(t *testing.T) {
	t.Setenv("CHROMIUM", peer.Need(t, "chromium"))
	peer.Need(t, "node")
	p := peer.Start(t, peer.Build(t, "./test/testserver"), "-addr", "127.0.0.1:0", "-eio3")
	peer.Checks(t, 4*time.Minute, "jsonp.mjs", "--url", p.URL())
}
