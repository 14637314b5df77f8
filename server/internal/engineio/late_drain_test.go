package engineio_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

// A write that is under way when its session is cut must not start a goroutine
// that Close has not waited for. The race detector sees it.
func TestCutDuringAFlushStartsNoGoroutine(t *testing.T) {
	text := strings.Repeat("x", 48<<20)
	m := outbound.Finish(append(outbound.Start(len(text)), text...), nil, outbound.Flags{})
	for i := range 40 {
		accepted := make(chan *receiver, 1)
		engine := engineio.NewServer(engineio.Config{
			PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, UpgradeTimeout: 10 * time.Second,
			WriteTimeout: 10 * time.Second, CloseTimeout: 200 * time.Millisecond,
			MaxPayload: 1000, MaxFragments: 16, QueuePackets: 100, QueueBytes: 1 << 30,
			Polling: true, WebSocket: true,
			Logger: slog.New(slog.DiscardHandler), Counters: new(engineio.Counters),
			Accept: func(s *engineio.Session, _ *http.Request) engineio.Receiver {
				rec := &receiver{session: s, got: make(chan string, 1), closed: make(chan string, 4)}
				accepted <- rec
				return rec
			},
		})
		h := httptest.NewServer(engine)
		nc, _, _, err := gobwas.Dial(t.Context(), "ws"+strings.TrimPrefix(h.URL, "http")+"/?EIO=4&transport=websocket")
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, nc) }()
		rec := await(t, accepted, "a session")
		rec.send("first")
		time.Sleep(5 * time.Millisecond)
		rec.session.Send(m)
		time.Sleep(time.Duration(i*100) * time.Microsecond)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = engine.Close(ctx, "over")
		_ = nc.Close()
		h.Close()
	}
}
