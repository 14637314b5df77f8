//go:build unix

package redis_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/adapter/redis"
)

// runSentinels starts three Sentinels that watch a master, which has a replica
// then, and returns a URL.
func runSentinels(t *testing.T, master *process) string {
	t.Helper()
	replica := runProcess(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port))
	eventually(t, "there is a replica", func() bool {
		return strings.Contains(replica.do("info", "replication").(string), "master_link_status:up")
	})
	var sentinels []*process
	var addrs []string
	for range 3 {
		s := runProcessAs(t, func(p *process) {
			p.sentinel = filepath.Join(t.TempDir(), "sentinel.conf")
			text := fmt.Sprintf("bind 127.0.0.1\nport %d\nsentinel monitor mymaster 127.0.0.1 %d 2\n"+
				"sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n", p.port, master.port)
			if err := os.WriteFile(p.sentinel, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		})
		sentinels = append(sentinels, s)
		addrs = append(addrs, s.addr())
	}
	for _, s := range sentinels {
		eventually(t, "the Sentinels know each other and the replica", func() bool {
			info := s.do("info", "sentinel").(string)
			return strings.Contains(info, "slaves=1,sentinels=3")
		})
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/mymaster"
}

// TestSentinelFailover holds that two nodes which send follow the master by
// themselves within seconds, with each message at most once, in order, and none
// lost but what was under way.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			master := runProcess(t)
			url := runSentinels(t, master)
			sentinel, _, _ := strings.Cut(strings.TrimPrefix(url, "redis+sentinel://"), ",")
			a := start(t, redis.New(url, f.opts...), nodeOptions{}).ready()
			b := start(t, redis.New(url, f.opts...), nodeOptions{}).ready()
			l := startLedger(t, a, b)
			l.outage(func() {
				before := masterOf(t, sentinel)
				master.stop()
				away(t, l.nodes)
				eventually(t, "there is another master", func() bool { return masterOf(t, sentinel) != before })
			})
			l.finish()
			l.checkCounts()
			for _, n := range l.nodes {
				if stats := n.backend.Stats(); stats.Reconnects == 0 {
					t.Errorf("%s has not noticed: %+v", n.name, stats)
				}
			}
		})
	}
}
