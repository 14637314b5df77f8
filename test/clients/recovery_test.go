package clients_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/roomspan/roomspan/test/internal/peer"
)

// recovering start servers that keep the state of clients for so long.
var recovering = []struct {
	name  string
	start func(t *testing.T, keep time.Duration) *peer.Process
}{
	{"roomspan", func(t *testing.T, keep time.Duration) *peer.Process {
		return startRecovering(t, keep)
	}},
	{"node", func(t *testing.T, keep time.Duration) *peer.Process {
		p := peer.Node(t, "peer-redis.mjs", "--recovery", strconv.FormatInt(keep.Milliseconds(), 10))
		p.Listening()
		return p
	}},
}

func startRecovering(t *testing.T, keep time.Duration, args ...string) *peer.Process {
	return peer.Start(t, peer.Build(t, "./test/testserver"), append([]string{"-addr", "127.0.0.1:0", "-recovery",
		keep.String(), "-ping-interval", "1s", "-ping-timeout", "5s"}, args...)...)
}

var transports = []string{"polling", "websocket", "upgrade"}

func TestRecovery(t *testing.T) {
	for _, server := range recovering {
		t.Run(server.name, func(t *testing.T) {
			peer.Need(t, "node")
			p, brief := server.start(t, time.Hour), server.start(t, time.Second)
			for _, transport := range transports {
				t.Run(transport, func(t *testing.T) {
					peer.Checks(t, 5*time.Minute, "recovery.mjs", "--url", p.URL(), "--transports", transport)
					peer.Checks(t, 5*time.Minute, "recovery.mjs", "--url", brief.URL(), "--transports", transport, "--expires", "1000")
				})
			}
		})
	}
}

// TestRecoveryLedger cuts a client off in the midst of a stream of numbered messages: as long as it is recovered none
// may be lost, come twice, or come out of order.
func TestRecoveryLedger(t *testing.T) {
	peer.Need(t, "node")
	rounds := 2
	if peer.Full() {
		rounds = 20
	}
	p := recovering[0].start(t, time.Hour)
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			peer.Checks(t, 15*time.Minute, "recovery-ledger.mjs", "--url", p.URL(), "--transports", transport,
				"--rounds", strconv.Itoa(rounds))
		})
	}
}

// TestRecoveryLedgerOnAnyNode lets a client come back to the other of two nodes.
func TestRecoveryLedgerOnAnyNode(t *testing.T) {
	peer.Need(t, "node")
	redis := peer.Redis(t)
	a := startRecovering(t, time.Hour, "-redis", redis.URL(), "-adapter", "streams")
	b := startRecovering(t, time.Hour, "-redis", redis.URL(), "-adapter", "streams")
	peer.Checks(t, 15*time.Minute, "recovery-ledger.mjs", "--url", a.URL(), "--other", b.URL(), "--rounds", "2")
}
