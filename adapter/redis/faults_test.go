//go:build unix

package redis_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/internal/redistest"
	"github.com/roomspan/roomspan/adapter/redis"
)

// TestFaults holds what the faults of one node cost the others, in each family.
func TestFaults(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	for _, f := range []struct {
		name    string
		opts    func(key string) []redis.Option
		publish string
		heard   []string // channels whose messages each node reads; KEY stands for the key
		stream  bool     // of the name of the key
	}{
		{"pattern", none, "publish", []string{"KEY#/#", "KEY#/#both#", "KEY-request#/#"}, false},
		{"specific responses", with(redis.WithSpecificResponseChannel()), "publish", []string{"KEY#/#", "KEY-request#/#"}, false},
		{"rooms", with(redis.WithRoomSubscriptions(), redis.WithTimes(time.Hour, 0)), "publish", []string{"KEY#/#", "KEY#/#both#", "KEY-request#/#"}, false},
		{"sharded", with(redis.WithSharded(redis.Dynamic)), "spublish", []string{"KEY#/#", "KEY#/#both#"}, false},
		{"streams", streams(), "publish", []string{"KEY#/#"}, true},
		{"streams sharded", streams(redis.StreamSharded()), "spublish", []string{"KEY#/#"}, true},
	} {
		t.Run(f.name, func(t *testing.T) {
			adaptertest.RunFaults(t, func(t *testing.T) adaptertest.Faults {
				key := fmt.Sprintf("faults[%d]", clusters.Add(1))
				return redistest.Harm{
					Addr: r.addr(),
					New: func(client goredis.UniversalClient) adapter.Backend {
						return redis.FromClient(client, append([]redis.Option{redis.WithKey(key)}, f.opts(key)...)...)
					},
					// It carries nothing but answers, for all that matters.
					Answer: func(channel, _ string) bool {
						return strings.HasPrefix(channel, key+"-response#") || f.publish == "spublish" || f.stream && channel != key+"#/#"
					},
					Poison: func(client *goredis.Client) int {
						malformed := 0
						for _, channel := range f.heard {
							channel = strings.Replace(channel, "KEY", key, 1)
							malformed += len(senseless)
							for _, payload := range senseless {
								must(t, client.Do(t.Context(), f.publish, channel, payload).Err())
							}
						}
						if f.stream {
							malformed += poisonStream(t, client, key)
						}
						return malformed
					},
				}.Faults(t)
			}, adaptertest.Abilities{})
		})
	}
}

func none(string) []redis.Option { return nil }

func with(opts ...redis.Option) func(string) []redis.Option {
	return func(string) []redis.Option { return opts }
}

func streams(opts ...redis.StreamOption) func(string) []redis.Option {
	return func(key string) []redis.Option {
		return []redis.Option{redis.WithStreams(append([]redis.StreamOption{redis.StreamName(key)}, opts...)...)}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// senseless is what no version of any family publishes.
var senseless = []string{
	"", "x", "{", "[", "\x00", "\xc1", "\x93", "\x93\xa1u", "\x93\x93\x93", "\x93\xa1u\x83\xa4type\x02",
	"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\x93\xdb\xff\xff\xff\xff", "\x80\x04\x95pickle",
	strings.Repeat("\x91", 100_000), strings.Repeat("[", 100_000), `{"a":` + strings.Repeat("[", 100_000),
}

// poisonStream adds entries that no node publishes, and returns how many of
// them are malformed. Those of other namespaces are none of a node's business.
func poisonStream(t *testing.T, client *goredis.Client, stream string) (malformed int) {
	t.Helper()
	add := func(values ...string) {
		must(t, client.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, Values: values}).Err())
	}
	for _, data := range senseless[1:] {
		add("uid", "stranger", "nsp", "/", "type", "3", "data", data)
		malformed++
	}
	add("uid", "stranger", "nsp", "/", "type", "three", "data", "{}")
	add("uid", "stranger", "nsp", "/", "data", "{}")
	add("uid", "stranger", "nsp", "/", "type", "3", "data", "{}")
	add("uid", "stranger", "nsp", "/elsewhere", "type", "3", "data", "x")
	add("what", "ever")
	return malformed + 3
}
