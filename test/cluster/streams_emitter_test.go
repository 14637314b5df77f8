package cluster_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/test/internal/peer"
)

// quietEmitter is an emitter without a server, which can ask all that an
// adapter can.
type quietEmitter struct{ quietNode }

func (quietEmitter) EmitsOnly() bool { return true }

// TestStreamsEmitterAsks holds that nobody counts an emitter or waits for it,
// Node included, and that it is answered by all.
func TestStreamsEmitterAsks(t *testing.T) {
	for name, opts := range streamsFleets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testStreamsEmitterAsks(t, opts)
		})
	}
}

func testStreamsEmitterAsks(t *testing.T, opts fleetOptions) {
	r := peer.Redis(t)
	p := startStreamsPeer(t, r, opts.peer...)
	n := startStreamsNode(t, r, false, opts.node...)
	here := adaptertest.NewSocket("here")
	here.Answer(func(*adapter.Packet) *adapter.Packet { return &adapter.Packet{Args: []byte(`[["here",7]]`)} })
	n.Add(here, "room")
	n.host.AnswerEvents(func(*adapter.Packet) *adapter.Packet { return &adapter.Packet{Args: []byte(`["roomspan"]`)} })
	var there clientState
	p.order(&there, "connect", "there", "", "")
	p.order(nil, "enter", "there", "room", map[string]any{"user": 1})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, err := server.NewEmitter(redis.New(r.URL(), redis.WithStreams(opts.node...)))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(context.Background())
	if err := e.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	// What it sends makes it no node either.
	if err := e.Emit("from the emitter", 1); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, here, "from the emitter 1")
	p.await("there", "from the emitter 1")
	sockets, err := e.Fetch(ctx)
	if err != nil || len(sockets) != 2 {
		t.Errorf("the emitter finds %d sockets: %v", len(sockets), err)
	}
	answers, err := server.CallAll[[]any](ctx, e.To("room"), "question", 7)
	if err != nil || len(answers) != 2 {
		t.Errorf("clients answer %v: %v", answers, err)
	}
	asking := startStreamsNodeAs(t, quietEmitter{}, r, false, opts.node...)
	replies, err := asking.ServerSideEmitWithAck(ctx, &adapter.Packet{Args: []byte(`["greet",2]`)})
	if texts, _ := received(replies); err != nil || len(texts) != 2 || !slices.Contains(texts, "roomspan") {
		t.Errorf("nodes answer %q: %v", texts, err)
	}

	if count, err := n.ServerCount(ctx); err != nil || count != 2 {
		t.Errorf("ours counts %d: %v", count, err)
	}
	var count int
	if p.order(&count, "count"); count != 2 {
		t.Errorf("theirs counts %d", count)
	}
	// Nobody waits for its answer, which would take Node five seconds and fail.
	begin := time.Now()
	var theirs []string
	p.order(&theirs, "serverSideAsk", "greet", 3)
	if !slices.Equal(theirs, []string{"roomspan"}) {
		t.Errorf("theirs gets %q", theirs)
	}
	if _, err := n.ServerSideEmitWithAck(ctx, &adapter.Packet{Args: json.RawMessage(`["greet",4]`)}); err != nil {
		t.Errorf("ours: %v", err)
	}
	t.Logf("asking took %v", time.Since(begin))
}
