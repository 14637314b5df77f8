// Package clients_test lets real Socket.IO clients meet one node.
package clients_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/test/internal/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(peer.Exit)) }

// servers start what the scripts are run against. Node shows that a script asks for nothing but Socket.IO.
var servers = []struct {
	name  string
	start func(t *testing.T) *peer.Process
}{
	{"roomspan", func(t *testing.T) *peer.Process {
		return peer.Start(t, peer.Build(t, "./test/testserver"), "-addr", "127.0.0.1:0")
	}},
	{"node", func(t *testing.T) *peer.Process {
		p := peer.Node(t, "peer-redis.mjs")
		p.Listening()
		return p
	}},
}

func TestScenarios(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			peer.Need(t, "node")
			p := server.start(t)
			for _, transport := range []string{"polling", "websocket", "upgrade"} {
				t.Run(transport, func(t *testing.T) {
					peer.Checks(t, 5*time.Minute, "scenarios.mjs", "--url", p.URL(), "--transports", transport)
				})
			}
		})
	}
}

// TestMsgpack has socket.io-msgpack-parser on both sides.
func TestMsgpack(t *testing.T) {
	peer.Need(t, "node")
	for _, server := range []struct {
		name  string
		start func() *peer.Process
	}{
		{"roomspan", func() *peer.Process {
			return peer.Start(t, peer.Build(t, "./test/testserver"), "-addr", "127.0.0.1:0", "-parser", "msgpack")
		}},
		{"node", func() *peer.Process {
			p := peer.Node(t, "peer-redis.mjs", "--parser", "msgpack")
			p.Listening()
			return p
		}},
	} {
		t.Run(server.name, func(t *testing.T) {
			p := server.start()
			for _, transport := range []string{"polling", "websocket", "upgrade"} {
				t.Run(transport, func(t *testing.T) {
					peer.Checks(t, 5*time.Minute, "scenarios.mjs", "--url", p.URL(), "--transports", transport, "--parser", "msgpack")
				})
			}
		})
	}
}

// TestEIO3 has the client of Socket.IO 2.
func TestEIO3(t *testing.T) {
	peer.Need(t, "node")
	for _, server := range []struct {
		name  string
		start func() *peer.Process
	}{
		{"roomspan", func() *peer.Process {
			return peer.Start(t, peer.Build(t, "./test/testserver"), "-addr", "127.0.0.1:0", "-eio3", "-ping-interval", "300ms")
		}},
		{"node", func() *peer.Process {
			p := peer.Node(t, "peer-redis.mjs", "--eio3", "yes")
			p.Listening()
			return p
		}},
	} {
		t.Run(server.name, func(t *testing.T) {
			p := server.start()
			for _, transport := range []string{"polling", "websocket", "upgrade"} {
				t.Run(transport, func(t *testing.T) {
					peer.Checks(t, 5*time.Minute, "old.mjs", "--url", p.URL(), "--transports", transport)
				})
			}
			t.Run("ledger", func(t *testing.T) {
				peer.Checks(t, 5*time.Minute, "ledger.mjs", "--url", p.URL(), "--rounds", rounds(server.name), "--client", "2")
			})
		})
	}
}

// TestPythonClient has the client of python-socketio.
func TestPythonClient(t *testing.T) {
	p := peer.Start(t, peer.Build(t, "./test/testserver"), "-addr", "127.0.0.1:0")
	for _, transport := range []string{"polling", "websocket", "upgrade"} {
		t.Run(transport, func(t *testing.T) {
			client := peer.Python(t, "client.py", "--url", p.URL(), "--transports", transport)
			peer.ReadChecks(t, 5*time.Minute, client, "client.py")
		})
	}
}

// TestLedger lets numbered messages flow both ways while the client upgrades from polling to WebSocket: none may be
// lost, come twice, or come out of order.
func TestLedger(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			peer.Need(t, "node")
			p := server.start(t)
			peer.Checks(t, 15*time.Minute, "ledger.mjs", "--url", p.URL(), "--rounds", rounds(server.name))
		})
	}
}

// rounds is how many of them a ledger has.
func rounds(server string) string {
	if peer.Full() && server == "roomspan" {
		return "50"
	}
	return "2"
}
