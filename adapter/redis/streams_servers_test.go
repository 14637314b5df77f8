//go:build unix

package redis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// Over TLS nothing is lost either when connections break and Redis restarts.
func TestStreamsTLS(t *testing.T) {
	t.Parallel()
	r, _, config := runTLS(t, "--appendonly", "yes", "--dir", t.TempDir())
	var nodes []*node
	for range 2 {
		backend := redis.New("rediss://"+r.addr(), redis.WithStreams(), redis.WithTLS(config))
		nodes = append(nodes, start(t, backend, nodeOptions{}).ready())
	}
	client := goredis.NewClient(&goredis.Options{Addr: r.addr(), TLSConfig: config.Clone()})
	defer client.Close()
	l := startLoad(nodes...)
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		killConnections(t, client)
	}
	r.stop()
	for _, n := range nodes {
		eventually(t, "the loss is noticed", func() bool { return !n.backend.Stats().Connected })
	}
	r.restart()
	for _, n := range nodes {
		n.ready()
	}
	l.finish(t)
}

// When the master fails and a replica takes its place, nodes follow by
// themselves. What the replica had not had is lost, which is asynchronous
// replication; everything else arrives once and in order on both nodes.
func TestStreamsFailover(t *testing.T) {
	t.Parallel()
	for _, failover := range []struct {
		name string
		act  func(t *testing.T, master *process, sentinels string)
	}{
		{"master killed", func(_ *testing.T, master *process, _ string) { master.stop() }},
		{"on demand", func(t *testing.T, _ *process, sentinel string) {
			client := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel})
			defer client.Close()
			// A Sentinel may have no replica that is good enough yet.
			eventually(t, "the failover begins", func() bool { return client.Failover(t.Context(), "mymaster").Err() == nil })
		}},
	} {
		t.Run(failover.name, func(t *testing.T) {
			t.Parallel()
			master := runProcess(t)
			url := runSentinels(t, master)
			sentinel, _, _ := strings.Cut(strings.TrimPrefix(url, "redis+sentinel://"), ",")
			opts := redis.StreamMaxLen(1_000_000)
			nodes := []*node{streamNode(t, url, opts), streamNode(t, url, opts)}
			l := startLoad(nodes...)
			time.Sleep(500 * time.Millisecond)
			before := masterOf(t, sentinel)
			failover.act(t, master, sentinel)
			eventually(t, "there is another master", func() bool { return masterOf(t, sentinel) != before })
			for _, n := range nodes {
				eventually(t, "the node has followed", func() bool { return n.backend.Stats().Reconnects > 0 })
				n.ready()
			}
			time.Sleep(200 * time.Millisecond)
			l.finishAfterFailover(t, masterOf(t, sentinel))
		})
	}
}

func masterOf(t *testing.T, sentinel string) string {
	t.Helper()
	client := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel})
	defer client.Close()
	addr, err := client.GetMasterAddrByName(t.Context(), "mymaster").Result()
	if err != nil || len(addr) != 2 {
		t.Fatalf("%q: %v", addr, err)
	}
	return strings.Join(addr, ":")
}

// finishAfterFailover ends the load and fails unless every node has had every
// event once, in order, but for those that the server that took over has not.
func (l *load) finishAfterFailover(t *testing.T, addr string) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	for _, n := range l.nodes {
		for i := range l.nodes {
			n.wait(fmt.Sprintf(`["n",%d,%d]`, i, l.sent[i]-1))
		}
	}
	client := goredis.NewClient(&goredis.Options{Addr: addr})
	defer client.Close()
	entries, err := client.XRange(t.Context(), "socket.io", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	kept := make([]map[int]bool, len(l.nodes))
	for i := range kept {
		kept[i] = make(map[int]bool)
	}
	for _, e := range entries {
		data, _ := e.Values["data"].(string)
		var sender, number int
		if _, err := fmt.Sscanf(data, `{"packet":{"type":2,"data":["n",%d,%d]}`, &sender, &number); err != nil {
			t.Fatalf("entry %q: %v", data, err)
		}
		kept[sender][number] = true
	}
	for at, n := range l.nodes {
		had := make([]int, len(l.nodes))
		lost := 0
		for _, event := range n.host.events() {
			var sender, number int
			if _, err := fmt.Sscanf(event, `["n",%d,%d]`, &sender, &number); err != nil || number < had[sender] {
				t.Fatalf("node %d received %s, after %d", at, event, had[sender]-1)
			}
			for missing := had[sender]; missing < number; missing++ {
				lost++
				if sender == at || kept[sender][missing] {
					t.Errorf("node %d missed %d of node %d, which Redis has", at, missing, sender)
				}
			}
			had[sender] = number + 1
		}
		if stats := n.backend.Stats(); stats.Dropped+stats.Malformed != 0 || !stats.Connected {
			t.Errorf("%+v\n%s", stats, n.log)
		}
		if stats := n.backend.StreamStats(); stats.Missed != uint64(lost) {
			t.Errorf("%d not received, %+v", lost, stats)
		}
		t.Logf("node %d: %d sent, %d not kept by Redis, %d of the other not received",
			at, l.sent[at], l.sent[at]-len(kept[at]), lost)
	}
	for _, longest := range l.longest {
		if longest > neverBlocks {
			t.Errorf("an emit took %v", longest)
		}
	}
}

// While the slots of the stream and of the channels move through a Redis
// Cluster, nothing is lost, and requests are answered.
func TestStreamsResharding(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]redis.StreamOption{
		"plain":   nil,
		"sharded": {redis.StreamSharded()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := runServers(t)
			nodes := []*node{streamNode(t, clusterURL(addrs), opts...), streamNode(t, clusterURL(addrs), opts...)}
			l := startLoad(nodes...)
			asked, asking := 0, make(chan struct{})
			stop := make(chan struct{})
			go func() {
				defer close(asking)
				for ; ; asked++ {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					sockets, err := nodes[asked%2].adapter.FetchSockets(ctx, adapter.Selector{})
					cancel()
					if err != nil || len(sockets) != 2 {
						t.Errorf("request %d: %d sockets, %v", asked, len(sockets), err)
					}
				}
			}()
			for range 3 {
				for _, name := range []string{"socket.io", "socket.io#/#"} {
					moveKeys(t, addrs, redis.SlotOf(name), name)
					seen := len(nodes[0].host.events())
					eventually(t, "messages go on", func() bool { return len(nodes[0].host.events()) > seen+300 })
				}
			}
			close(stop)
			<-asking
			l.finish(t)
			t.Logf("%d requests", asked)
			for _, n := range nodes {
				if stats := n.backend.Stats(); stats.Reconnects != 0 {
					t.Errorf("%+v\n%s", stats, n.log)
				}
			}
		})
	}
}

// moveKeys moves a slot with a key from the server that has it to the next one,
// as redis-cli does.
func moveKeys(t *testing.T, addrs []string, slot int, key string) {
	t.Helper()
	moveSlotWith(t, addrs, slot, func(from *goredis.Client, to string) {
		host, port, _ := strings.Cut(to, ":")
		if err := from.Migrate(t.Context(), host, port, key, 0, 5*time.Second).Err(); err != nil && err != goredis.Nil {
			t.Fatal(err)
		}
	})
}
