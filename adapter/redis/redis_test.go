//go:build unix

package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name    string
		backend *redis.Backend
		want    string
	}{
		{"scheme", redis.New("http://localhost"), "URL"},
		{"no URL", redis.New("redis://user:secret@local\x00host"), "URL"},
		{"query", redis.New("redis://localhost?nonsense=1"), "nonsense"},
		{"key", redis.New("redis://localhost", redis.WithKey("")), "WithKey"},
		{"messages", redis.New("redis://localhost", redis.WithBacklog(0, 1)), "WithBacklog"},
		{"bytes", redis.New("redis://localhost", redis.WithBacklog(1, -1)), "WithBacklog"},
		{"client", redis.FromClient(nil), "FromClient"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.backend.Start(server{&logBuffer{}})
			if !errors.Is(err, redis.ErrConfig) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is in %q", err)
			}
			if err := tt.backend.Close(context.Background()); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func TestLifecycle(t *testing.T) {
	r := runEmbedded(t)
	b := redis.New(r.url())
	if _, err := b.Open(&host{namespace: "/"}); err == nil {
		t.Error("opened before Start")
	}
	if err := b.Ready(t.Context()); err == nil {
		t.Error("ready before Start")
	}
	if b.Stats() != (adapter.Stats{}) {
		t.Error("counters before Start")
	}
	n := start(t, b, nodeOptions{}).ready()
	if err := b.Start(server{n.log}); err == nil {
		t.Error("started twice")
	}
	if _, err := b.Open(n.host); err == nil {
		t.Error("opened twice")
	}
	if !b.Stats().Connected {
		t.Error("not connected")
	}
	if err := n.adapter.Close(); err != nil {
		t.Error(err)
	}
	if a, err := b.Open(n.host); err != nil {
		t.Error(err)
	} else {
		n.adapter = a
	}
	n.ready()
	for range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Open(n.host); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Open after Close: %v", err)
	}
	if err := b.Ready(t.Context()); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Ready after Close: %v", err)
	}
	if b.Stats().Connected {
		t.Error("connected after Close")
	}
}

func TestBroadcastBetweenNodes(t *testing.T) {
	r := runEmbedded(t)
	a := start(t, redis.New(r.url()), nodeOptions{rooms: []string{"r1"}}).ready()
	b := start(t, redis.New(r.url()), nodeOptions{rooms: []string{"r2"}}).ready()

	a.emit(`["all",{"x":[1,2.5,"é"]}]`)
	b.wait(`["all",{"x":[1,2.5,"é"]}]`)
	a.emit(`["r1"]`, "r1")
	a.emit(`["r2"]`, "r2")
	a.emit(`["both"]`, "r1", "r2")
	err := a.adapter.Broadcast(
		&adapter.Packet{Args: []byte(`["bin",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}},
		adapter.Selector{}, adapter.Flags{Volatile: true, NoCompress: true})
	if err != nil {
		t.Fatal(err)
	}
	got := b.wait(`["r2"]`, `["both"]`, `["bin",{"_placeholder":true,"num":0}]`)
	if len(got) != 4 {
		t.Errorf("b got %q", got)
	}
	b.host.mu.Lock()
	if len(b.host.attachments) != 1 || string(b.host.attachments[0]) != "\x01\x02" {
		t.Errorf("attachments %x", b.host.attachments)
	}
	if last := b.host.flags[3]; !last.Volatile || !last.NoCompress {
		t.Errorf("flags %+v", last)
	}
	b.host.mu.Unlock()
	if got := a.host.events(); len(got) != 4 {
		t.Errorf("a got %q", got)
	}
	if stats := a.backend.Stats(); stats.Published != 5 || stats.Dropped != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestKeysAndNamespacesAreApart(t *testing.T) {
	r := runEmbedded(t)
	names := []string{"/", "/a", "/a*", "/[a]", "/?", `/\*`}
	var nodes []*node
	for _, name := range names {
		nodes = append(nodes, start(t, redis.New(r.url()), nodeOptions{namespace: name}).ready())
	}
	other := start(t, redis.New(r.url(), redis.WithKey("other")), nodeOptions{}).ready()
	twin := start(t, redis.New(r.url()), nodeOptions{namespace: "/a*"}).ready()
	for _, n := range nodes {
		n.emit(`["from ` + strings.ReplaceAll(n.host.namespace, `\`, `\\`) + `"]`)
	}
	got := twin.wait(`["from /a*"]`)
	if len(got) != 1 {
		t.Errorf("the twin got %q", got)
	}
	for _, n := range nodes {
		if got := n.host.events(); len(got) != 1 {
			t.Errorf("%s got %q", n.host.namespace, got)
		}
	}
	if got := other.host.events(); len(got) != 0 {
		t.Errorf("the other key got %q", got)
	}
}

func TestServerCount(t *testing.T) {
	r := runEmbedded(t)
	a := start(t, redis.New(r.url()), nodeOptions{}).ready()
	start(t, redis.New(r.url()), nodeOptions{}).ready()
	if n, err := a.adapter.ServerCount(t.Context()); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	r.stop()
	eventually(t, "the loss is noticed", func() bool { return !a.backend.Stats().Connected })
	if n, err := a.adapter.ServerCount(t.Context()); err == nil {
		t.Errorf("%d nodes without Redis", n)
	}
}

func TestUnreachableAtStart(t *testing.T) {
	r := runEmbedded(t)
	r.stop()
	n := start(t, redis.New(r.url()), nodeOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	err := n.backend.Ready(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not connected") {
		t.Fatalf("Ready: %v", err)
	}
	n.emit(`["early"]`)
	r.restart()
	n.ready()
	eventually(t, "it is logged", func() bool { return n.log.count("\n") >= 2 })
	if c := n.log.count("\n"); c != 2 || n.log.count("cannot connect") != 1 || n.log.count("redis: connected") != 1 {
		t.Errorf("log:\n%s", n.log)
	}
	eventually(t, "the backlog is sent", func() bool { return n.backend.Stats().Published == 1 })
}

// A node that wears the credentials of nobody stays out, and does not hammer.
func TestRefused(t *testing.T) {
	r := runEmbedded(t)
	r.RequireAuth("password")
	n := start(t, redis.New(r.url()), nodeOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := n.backend.Ready(ctx); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("Ready: %v", err)
	}
	if c := r.TotalConnectionCount(); c > 40 {
		t.Errorf("%d connections in a second", c)
	}
	if c := n.log.count("\n"); c != 1 {
		t.Errorf("log:\n%s", n.log)
	}
}

func TestFromClientLeavesTheClientOpen(t *testing.T) {
	r := runEmbedded(t)
	client := goredis.NewClient(&goredis.Options{Addr: r.Addr()})
	defer client.Close()
	n := start(t, redis.FromClient(client), nodeOptions{}).ready()
	n.emit(`["last"]`)
	if err := n.backend.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := n.backend.Stats().Published; got != 1 {
		t.Errorf("%d published: Close did not send what was queued", got)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the client was closed: %v", err)
	}
}
