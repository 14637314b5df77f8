//go:build unix

package pysocketio_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

// rightsOf returns the rights that the documentation names.
func rightsOf(t *testing.T, whose string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/python.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```acl " + whose + "\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatalf("docs/python.md names no rights for %s", whose)
	}
	return strings.Fields(string(block[1]))
}

// guarded is a Redis with a user who has some rights.
type guarded struct {
	t      *testing.T
	client *goredis.Client
	url    string
}

func runGuarded(t *testing.T) *guarded {
	t.Helper()
	r := runProcess(t)
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	t.Cleanup(func() { _ = client.Close() })
	return &guarded{t, client, "redis://roomspan:secret@" + r.addr()}
}

// grant sets the rights of the user, and forgets what was refused.
func (g *guarded) grant(rights []string) {
	g.t.Helper()
	args := []any{"acl", "setuser", "roomspan", "reset", "on", ">secret"}
	for _, right := range rights {
		args = append(args, right)
	}
	for _, command := range [][]any{args, {"acl", "log", "reset"}} {
		if err := g.client.Do(g.t.Context(), command...).Err(); err != nil {
			g.t.Fatal(err)
		}
	}
}

func (g *guarded) refusals() []any {
	g.t.Helper()
	log, err := g.client.Do(g.t.Context(), "acl", "log").Slice()
	if err != nil {
		g.t.Fatal(err)
	}
	return log
}

// TestRights holds that the documented rights are enough, and that none of
// them is too much.
func TestRights(t *testing.T) {
	g := runGuarded(t)
	rights := rightsOf(t, "pysocketio")
	g.grant(rights)
	a, b := start(t, pysocketio.New(g.url)), start(t, pysocketio.New(g.url))
	if err := a.Broadcast(event(`["all"]`), adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	b.await(`["all"]`)
	if infos, err := a.FetchSockets(t.Context(), adapter.Selector{}); err != nil || len(infos) != 2 {
		t.Errorf("%d sockets, %v", len(infos), err)
	}
	g.close(a, b)
	for i, right := range rights {
		if right != "resetchannels" {
			g.grant(slices.Delete(slices.Clone(rights), i, i+1))
			n := &node{t: t, backend: pysocketio.New(g.url), host: adaptertest.NewHost("/")}
			n.open(n)
			g.probe(n, right)
		}
	}
}

// TestRightsOfEmitter holds the same of a process that only emits.
func TestRightsOfEmitter(t *testing.T) {
	g := runGuarded(t)
	rights := slices.Concat(rightsOf(t, "pysocketio"), rightsOf(t, "pysocketio emitter"))
	g.grant(rights)
	n, e := start(t, pysocketio.New(g.url)), startEmitter(t, pysocketio.New(g.url))
	n.socket.Answer(func(*adapter.Packet) *adapter.Packet { return event(`["here"]`) })
	if packets, err := e.BroadcastWithAck(t.Context(), event(`["q"]`), adapter.Selector{}, adapter.Flags{}); err != nil || len(packets) != 1 {
		t.Errorf("%d answers, %v", len(packets), err)
	}
	g.close(n, e)
	for i, right := range rights {
		if right != "resetchannels" {
			g.grant(slices.Delete(slices.Clone(rights), i, i+1))
			e := &node{t: t, backend: pysocketio.New(g.url), host: adaptertest.NewHost("/")}
			e.open(emitter{e})
			g.probe(e, right)
		}
	}
}

// close closes nodes, of which nothing was refused.
func (g *guarded) close(nodes ...*node) {
	g.t.Helper()
	for _, n := range nodes {
		if err := n.backend.Close(g.t.Context()); err != nil {
			g.t.Error(err)
		}
	}
	if log := g.refusals(); len(log) > 0 {
		g.t.Errorf("refused: %v", log)
	}
}

// probe uses all rights until the one that is missing is noticed.
func (g *guarded) probe(n *node, right string) {
	g.t.Helper()
	eventually(g.t, "without "+right+" something is refused", func() bool {
		if len(g.refusals()) > 0 {
			return true
		}
		ctx, cancel := context.WithTimeout(g.t.Context(), 10*time.Millisecond)
		defer cancel()
		_ = n.Broadcast(event(`["all"]`), adapter.Selector{}, adapter.Flags{})
		_, _ = n.FetchSockets(ctx, adapter.Selector{})
		_, _ = n.BroadcastWithAck(ctx, event(`["q"]`), adapter.Selector{}, adapter.Flags{})
		return false
	})
	if err := n.backend.Close(g.t.Context()); err != nil {
		g.t.Error(err)
	}
}
