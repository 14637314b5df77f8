// Package enginetest is a bare Engine.IO server, without Socket.IO on top, for
// the protocol suites that test that layer alone. Programs have no use for it.
package enginetest

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

// Config are the settings of an [Echo]. All must be set.
type Config struct {
	PingInterval, PingTimeout time.Duration
	MaxPayload                int
	Origins                   []string
}

// Echo is an Engine.IO server that sends back every message. It is an
// http.Handler.
type Echo struct{ engine *engineio.Server }

// NewEcho returns an Echo.
func NewEcho(cfg Config) *Echo {
	return &Echo{engineio.NewServer(engineio.Config{
		PingInterval:   cfg.PingInterval,
		PingTimeout:    cfg.PingTimeout,
		UpgradeTimeout: 10 * time.Second,
		WriteTimeout:   10 * time.Second,
		CloseTimeout:   2 * time.Second,
		MaxPayload:     cfg.MaxPayload,
		MaxFragments:   1024,
		QueuePackets:   1 << 16,
		QueueBytes:     64 << 20,
		Polling:        true,
		WebSocket:      true,
		Origins:        cfg.Origins,
		Logger:         slog.New(slog.DiscardHandler),
		Counters:       new(engineio.Counters),
		Accept: func(s *engineio.Session, _ *http.Request) engineio.Receiver {
			return echo{s}
		},
	})}
}

// ServeHTTP implements http.Handler.
func (e *Echo) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.engine.ServeHTTP(w, r) }

// Shutdown closes all sessions and waits for their goroutines until ctx ends.
func (e *Echo) Shutdown(ctx context.Context) error {
	return e.engine.Close(ctx, engineio.ReasonForcedClose)
}

// echo is the Receiver of one session.
type echo struct{ s *engineio.Session }

func (e echo) Message(data []byte, binary bool) error {
	if binary {
		e.s.Send(outbound.Binary(outbound.Flags{}, data))
	} else {
		e.s.Send(outbound.Finish(append(outbound.Start(len(data)), data...), nil, outbound.Flags{}))
	}
	return nil
}

func (echo) Upgraded()     {}
func (echo) BatchEnd()     {}
func (echo) Opened()       {}
func (echo) Closed(string) {}
