package clients_test

import (
	"testing"
	"time"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// TestCompression lets clients meet a server that compresses on WebSocket, too: those of Socket.IO in all they do, and ws with
// every kind of offer.
func TestCompression(t *testing.T) {
	peer.Need(t, "node")
	p := peer.Start(t, peer.Build(t, "./test/testserver"), "-addr", "127.0.0.1:0", "-compress", "-eio3", "-ping-interval", "300ms")
	t.Run("compression", func(t *testing.T) { peer.Checks(t, 5*time.Minute, "compress.mjs", "--url", p.URL()) })
	for _, transport := range []string{"polling", "websocket", "upgrade"} {
		t.Run(transport, func(t *testing.T) {
			peer.Checks(t, 5*time.Minute, "scenarios.mjs", "--url", p.URL(), "--transports", transport)
		})
	}
	t.Run("old client", func(t *testing.T) {
		peer.Checks(t, 5*time.Minute, "old.mjs", "--url", p.URL(), "--transports", "upgrade")
	})
	t.Run("ledger", func(t *testing.T) {
		peer.Checks(t, 5*time.Minute, "ledger.mjs", "--url", p.URL(), "--rounds", "1")
	})
}
