//go:build unix

package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// TestRefusedLines holds that messages which Redis refuses one by one, while it
// takes others, are counted, and do not fill the log.
func TestRefusedLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts []redis.Option
		take string // the one right to publish
		bad  func(*node)
	}{
		{"pubsub", nil, "+publish", toLobby},
		{"rooms", []redis.Option{redis.WithRoomSubscriptions(), redis.WithTimes(0, 0)}, "+publish", toLobby},
		{"sharded", []redis.Option{redis.WithSharded(redis.Dynamic), redis.WithTimes(0, 0)}, "+spublish", toLobby},
		{"streams", []redis.Option{redis.WithStreams()}, "-publish", toServers},
		{"streams sharded", []redis.Option{redis.WithStreams(redis.StreamSharded())}, "-spublish", toServers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			r.do("acl", "setuser", "roomspan", "on", ">secret", "~*", "&*", "+@all", "-publish", "-spublish",
				"("+tt.take+" &socket.io#/#)")
			n := start(t, redis.New("redis://roomspan:secret@"+r.addr(), tt.opts...), nodeOptions{}).ready()
			const rounds = 50
			refused := 0
			refuse := func() {
				t.Helper()
				tt.bad(n)
				refused++
				eventually(t, "it is refused", func() bool { return n.backend.Stats().Dropped == uint64(refused) })
			}
			begin := time.Now()
			for i := range rounds {
				refuse()
				n.emit(`["taken"]`)
				eventually(t, "it is taken", func() bool { return n.backend.Stats().Published == uint64(i+1) })
			}
			most := 1 + int(time.Since(begin)/time.Second)
			if lines := n.log.count("publishing refused"); lines < 1 || lines > most {
				t.Errorf("%d lines for %d messages, want %d at most:\n%s", lines, rounds, most, n.log)
			}
			time.Sleep(1100 * time.Millisecond)
			refuse()
			eventually(t, "the next line has the total", func() bool {
				return strings.Contains(n.log.String(), fmt.Sprintf("total=%d\n", refused))
			})
		})
	}
}

func toLobby(n *node) { n.emit(`["refused"]`, "lobby") }

func toServers(n *node) {
	if _, err := n.adapter.ServerSideEmitWithAck(n.t.Context(), &adapter.Packet{Args: []byte(`["refused"]`)}); err != nil {
		n.t.Error(err)
	}
}
