package pysocketio_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

func TestConfigErrors(t *testing.T) {
	const url = "redis://localhost"
	for want, b := range map[string]*pysocketio.Backend{
		"URL":            pysocketio.New("http://localhost"),
		"FromClient":     pysocketio.FromClient(nil),
		"WithChannel":    pysocketio.New(url, pysocketio.WithChannel("")),
		"WithBacklog":    pysocketio.New(url, pysocketio.WithBacklog(0, 1)),
		"WithMaxMessage": pysocketio.New(url, pysocketio.WithMaxMessage(0)),
		"WithAckTimeout": pysocketio.New(url, pysocketio.WithAckTimeout(-time.Second)),
	} {
		err := b.Start(&node{})
		if !errors.Is(err, pysocketio.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("%s: Close: %v", want, err)
		}
	}
}

func TestLifecycle(t *testing.T) {
	r := miniredis.RunT(t)
	client := goredis.NewClient(&goredis.Options{Addr: r.Addr()})
	defer client.Close()
	b := pysocketio.FromClient(client)
	if _, err := b.Open(adaptertest.NewHost("/")); err == nil {
		t.Error("opened before Start")
	}
	if err := b.Ready(t.Context()); err == nil {
		t.Error("ready before Start")
	}
	n := start(t, b)
	if err := b.Start(n); err == nil {
		t.Error("started twice")
	}
	if _, err := b.Open(n.host); err == nil {
		t.Error("opened twice")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := n.AddSockets(rooms(theirSID), []string{"r"}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("AddSockets after Close: %v", err)
	}
	if _, err := b.Open(n.host); err != nil {
		t.Errorf("opened again: %v", err)
	}
	if got := b.Fleet(); got != "pysocketio socketio" {
		t.Errorf("Fleet = %q", got)
	}
}

// While Redis is away the node goes on by itself, and what it says is sent
// when it is back.
func TestOutage(t *testing.T) {
	r := miniredis.RunT(t)
	addr := r.Addr()
	a := start(t, pysocketio.New("redis://"+addr, pysocketio.WithBacklog(100, 1<<20)))
	b := start(t, pysocketio.New("redis://"+addr))
	// So that a knows of b, and waits for it after the outage.
	if err := a.Broadcast(event(`["before"]`), adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	b.await(`["before"]`)
	r.Close()
	eventually(t, "the loss is noticed", func() bool { return !a.backend.Stats().Connected && !b.backend.Stats().Connected })
	var want []string
	for i := range 150 {
		begin := time.Now()
		if err := a.Broadcast(event(fmt.Sprintf(`["n",%d]`, i)), adapter.Selector{}, adapter.Flags{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("Broadcast took %v", took)
		}
		if i >= 50 {
			want = append(want, fmt.Sprintf(`["n",%d]`, i))
		}
	}
	if got := len(a.socket.Received()); got != 151 {
		t.Errorf("%d of 151 delivered here", got)
	}
	if err := a.Broadcast(event(`["volatile"]`), adapter.Selector{}, adapter.Flags{Volatile: true}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	packets, err := a.BroadcastWithAck(ctx, event(`["q"]`), rooms("nobody"), adapter.Flags{})
	if missing := (*adapter.MissingAnswersError)(nil); len(packets) != 0 || !errors.As(err, &missing) || !errors.Is(err, adapter.ErrUnreachable) {
		t.Errorf("asking meanwhile: %v", err)
	}
	if ctx.Err() != nil {
		t.Error("asking meanwhile lasted until the deadline")
	}
	if err := r.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the backlog arrives", func() bool {
		got := b.socket.Received()
		return len(got) > 0 && string(got[len(got)-1].Packet.Args) == `["n",149]`
	})
	got := b.socket.Received()[1:]
	// The question was not kept.
	if first := string(got[0].Packet.Args); first != want[0] || len(got) != len(want) {
		t.Errorf("%d events arrived, the first %s", len(got), first)
	}
	if s := a.backend.Stats(); s.Dropped != 51 || s.Reconnects != 1 {
		t.Errorf("%+v", s)
	}
}
