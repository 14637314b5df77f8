package zishang520_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/zishang520/socket.io/v2/socket"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/zishang520"
)

// refusing is a back-end whose adapters send nothing to other nodes.
type refusing struct {
	adapter.Backend
	err error
}

func (b refusing) Open(h adapter.Host) (adapter.Adapter, error) {
	a, err := b.Backend.Open(h)
	return refused{a, b.err}, err
}

type refused struct {
	adapter.Adapter
	err error
}

func (a refused) Broadcast(*adapter.Packet, adapter.Selector, adapter.Flags) error { return a.err }
func (a refused) AddSockets(adapter.Selector, []string) error                      { return a.err }
func (a refused) DelSockets(adapter.Selector, []string) error                      { return a.err }
func (a refused) DisconnectSockets(adapter.Selector, bool) error                   { return a.err }

// An outage is logged by the back-end, once: a line for each message of a
// program that goes on would bury it. What else is not sent is told.
func TestOutageIsNotLoggedPerMessage(t *testing.T) {
	away := fmt.Errorf("redis: %w", adapter.ErrUnreachable)
	bad := errors.New("too large")
	for _, tt := range []struct {
		name  string
		err   error
		lines int // of the four calls
	}{
		{"unreachable", away, 0},
		{"unreachable, for a cause", fmt.Errorf("%w: %w", adapter.ErrUnreachable, errors.New("refused")), 0},
		{"two fleets are unreachable", errors.Join(away, away), 0},
		{"another error", bad, 4},
		{"another error of another fleet", errors.Join(away, bad), 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			cluster, err := zishang520.New(refusing{adaptertest.NewBus().Backend(), tt.err},
				zishang520.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			must(t, err)
			io := socket.NewServer(nil, nil)
			io.SetAdapter(cluster)
			must(t, io.Sockets().Emit("event"))
			io.SocketsJoin("room")
			io.SocketsLeave("room")
			io.DisconnectSockets(true)
			if got := strings.Count(log.String(), "\n"); got != tt.lines {
				t.Errorf("logged %d lines, want %d:\n%s", got, tt.lines, &log)
			}
			io.Close(nil)
			must(t, cluster.Close(context.Background()))
		})
	}
}
