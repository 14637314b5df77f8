package redis_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter/redis"
)

func TestURLForms(t *testing.T) {
	for _, tt := range []struct{ url, plain, kind string }{
		{"redis://h", "redis://h", ""},
		{"unix:///tmp/x.sock?db=1", "unix:///tmp/x.sock?db=1", ""},
		{"redis://h?addr=i:1", "redis://h?addr=i:1", "cluster"},
		{"redis://h?addr=i:1&master_name=m", "redis://h?addr=i:1&master_name=m", "sentinel"},
		{"redis+cluster://h", "redis://h:6379/?", "cluster"},
		{"rediss+cluster://u:p@h:1,i,[::1]:3,[::2]", "rediss://u:p@h:1/?addr=i%3A6379&addr=%5B%3A%3A1%5D%3A3&addr=%5B%3A%3A2%5D%3A6379", "cluster"},
		{"redis+sentinel://h,i:2/my%20master/3?read_timeout=1s", "redis://h:26379/3?addr=i%3A2&master_name=my+master&read_timeout=1s", "sentinel"},
		{"redis+sentinel://p@ss:w@rd@h/m", "redis://p@ss:w@rd@h:26379/?master_name=m", "sentinel"},
	} {
		plain, kind, err := redis.PlainURL(tt.url)
		if plain != tt.plain || kind != tt.kind || err != nil {
			t.Errorf("%s: %s, %s, %v", tt.url, plain, kind, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	for _, url := range []string{"redis://h", "redis+cluster://u:p@h:1,i", "redis+sentinel://h/m/1?x=y", "x+://,@,/?&", "unix://"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		plain, _, err := redis.PlainURL(url)
		if err == nil && !strings.Contains(plain, "://") {
			t.Errorf("%q", plain)
		}
		if err != nil && plain != "" {
			t.Error("both")
		}
	})
}

func TestWrongURLs(t *testing.T) {
	client := goredis.NewClient(&goredis.Options{})
	defer client.Close()
	for name, b := range map[string]*redis.Backend{
		"no scheme":            redis.New("localhost:6379"),
		"unknown kind":         redis.New("redis+ring://localhost"),
		"unknown option":       redis.New("redis+cluster://localhost?no_such_option=1"),
		"no master":            redis.New("redis+sentinel://localhost"),
		"replicas":             redis.New("redis+sentinel://localhost/m?replica_only=true"),
		"by latency":           redis.New("redis+sentinel://localhost/m?route_by_latency=true"),
		"not a database":       redis.New("redis+sentinel://localhost/m/secret"),
		"query":                redis.New("redis://localhost?%zz"),
		"TLS without TLS":      redis.New("redis://localhost", redis.WithTLS(&tls.Config{})),
		"TLS of a client":      redis.FromClient(client, redis.WithTLS(&tls.Config{})),
		"unknown mode":         redis.New("redis://localhost", redis.WithSharded("x")),
		"option of the others": redis.New("redis://localhost", redis.WithSharded(redis.Static), redis.WithSpecificResponseChannel()),
	} {
		t.Run(name, func(t *testing.T) {
			err := b.Start(server{&logBuffer{}})
			if !errors.Is(err, redis.ErrConfig) {
				t.Fatal(err)
			}
			if strings.Contains(err.Error(), "localhost") {
				t.Errorf("%v repeats the URL", err)
			}
		})
	}
}

// TestSlots holds examples of the Redis Cluster specification, and the empty
// tag, which counts for nothing.
func TestSlots(t *testing.T) {
	for name, slot := range map[string]int{"123456789": 12739, "foo": 12182, "{foo}bar": 12182, "x{}y": redis.SlotOf("x{}y"), "": 0} {
		if got := redis.SlotOf(name); got != slot {
			t.Errorf("slot of %q is %d, want %d", name, got, slot)
		}
	}
	if redis.SlotOf("{}foo") == redis.SlotOf("foo") || redis.SlotOf("{a}x") != redis.SlotOf("{a}y") {
		t.Error("tags are not as they should be")
	}
}
