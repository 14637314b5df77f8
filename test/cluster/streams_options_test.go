package cluster_test

import (
	"encoding/json"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
	"github.com/roomspan/roomspan/test/internal/peer"
)

// fleetOptions are the same for a node of Roomspan and one of Node.
type fleetOptions struct {
	node      []redis.StreamOption
	peer      []string
	plaintext bool
}

var streamsFleets = map[string]fleetOptions{
	"default":   {},
	"sharded":   {node: []redis.StreamOption{redis.StreamSharded()}, peer: []string{"--sharded", "yes"}},
	"plaintext": {node: []redis.StreamOption{redis.StreamPlaintext()}, peer: []string{"--plaintext", "yes"}, plaintext: true},
}

// checkPlaintext fails unless everything in the stream is JSON.
func checkPlaintext(t *testing.T, r *peer.RedisServer) {
	t.Helper()
	opts, err := goredis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(opts)
	defer client.Close()
	entries, err := client.XRange(t.Context(), "socket.io", "-", "+").Result()
	if err != nil || len(entries) < 4 {
		t.Fatalf("%d entries: %v", len(entries), err)
	}
	for _, e := range entries {
		if data, _ := e.Values["data"].(string); !json.Valid([]byte(data)) {
			t.Errorf("entry %s is %q", e.ID, data)
		}
	}
}

// TestStreamsMixedPlaintext holds that nodes with and without the option
// understand each other, in both directions.
func TestStreamsMixedPlaintext(t *testing.T) {
	opts := streamsFleets["plaintext"]
	for name, mixed := range map[string]fleetOptions{
		"roomspan": {node: opts.node},
		"node":     {peer: opts.peer},
	} {
		t.Run(name, func(t *testing.T) {
			r := peer.Redis(t)
			p, n := startStreamsPeer(t, r, mixed.peer...), startStreamsNode(t, r, false, mixed.node...)
			testMixedPlaintext(t, p, n, mixed.node != nil)
		})
	}
}

func testMixedPlaintext(t *testing.T, p *streamsPeer, n *streamsNode, ours bool) {
	here := adaptertest.NewSocket("here")
	n.Add(here)
	p.order(nil, "connect", "there", "", "")
	bytes := &adapter.Packet{Args: []byte(`["our bytes",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 255}}}
	if err := n.Broadcast(bytes, adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	p.await("there", "our bytes map[data:[1 2 255] type:Buffer]") // a Buffer becomes the same on its way here
	p.order(nil, "binary", []string{}, "their bytes", "0102ff")
	want := "their bytes map[bytes:map[data:[1 2 255] type:Buffer]]"
	if ours {
		want = "their bytes map[bytes:map[_placeholder:true num:0]]"
	}
	awaitEvent(t, here, want)
}
