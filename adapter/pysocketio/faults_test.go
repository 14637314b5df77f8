//go:build unix

package pysocketio_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/internal/redistest"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

// TestFaults holds what the faults of one node cost the others.
func TestFaults(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	for name, opts := range map[string][]pysocketio.Option{
		"new": nil,
		"old": {pysocketio.WithPickle()},
	} {
		t.Run(name, func(t *testing.T) {
			adaptertest.RunFaults(t, func(t *testing.T) adaptertest.Faults {
				channel := fmt.Sprintf("faults%d", clusters.Add(1))
				return redistest.Harm{
					Addr: r.addr(),
					New: func(client goredis.UniversalClient) adapter.Backend {
						return pysocketio.FromClient(client, append([]pysocketio.Option{pysocketio.WithChannel(channel)}, opts...)...)
					},
					// An answer is for one node.
					Answer: func(to, payload string) bool {
						return strings.HasPrefix(to, channel+":roomspan") && strings.Contains(payload, `,"to":"`)
					},
					Poison: func(client *goredis.Client) int {
						return poison(t, client, channel) + poison(t, client, channel+":roomspan")
					},
				}.Faults(t)
			}, adaptertest.Abilities{})
		})
	}
}

// poison publishes what neither Python nor a node of Roomspan does, and returns
// how much it is.
func poison(t *testing.T, client *goredis.Client, channel string) int {
	t.Helper()
	senseless := []string{
		"", "x", "{", "[]", "\x00", "\x80\x04\x95", "\x80\x04.", "{}", `{"method":7}`, `{"method":"emit"}`,
		`{"method":"emit","event":"e","namespace":"/","data":{},"binary":true}`, `{"from":"stranger"}`,
		`{"from":"stranger","type":"broadcast","nsp":"/","args":"x"}`, `{"from":"stranger","type":"?","nsp":"/"}`,
		strings.Repeat("[", 100_000), `{"method":` + strings.Repeat("[", 100_000), "\x80\x04" + strings.Repeat("](", 50_000),
	}
	for _, payload := range senseless {
		if err := client.Publish(t.Context(), channel, payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return len(senseless)
}
