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

// TestRights holds that the documented rights are enough, and that none of
// them is too much.
func TestRights(t *testing.T) {
	text, err := os.ReadFile("../../docs/python.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```acl pysocketio\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/python.md names no rights")
	}
	rights := strings.Fields(string(block[1]))
	r := runProcess(t)
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	grant := func(rights []string) {
		args := []any{"acl", "setuser", "roomspan", "reset", "on", ">secret"}
		for _, right := range rights {
			args = append(args, right)
		}
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.Do(t.Context(), "acl", "log", "reset").Err(); err != nil {
			t.Fatal(err)
		}
	}
	refusals := func() []any {
		log, err := client.Do(t.Context(), "acl", "log").Slice()
		if err != nil {
			t.Fatal(err)
		}
		return log
	}
	url := "redis://roomspan:secret@" + r.addr()

	grant(rights)
	a, b := start(t, pysocketio.New(url)), start(t, pysocketio.New(url))
	if err := a.Broadcast(event(`["all"]`), adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	b.await(`["all"]`)
	if infos, err := a.FetchSockets(t.Context(), adapter.Selector{}); err != nil || len(infos) != 2 {
		t.Errorf("%d sockets, %v", len(infos), err)
	}
	for _, n := range []*node{a, b} {
		if err := n.backend.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if log := refusals(); len(log) > 0 {
		t.Errorf("refused: %v", log)
	}

	for i, right := range rights {
		if right == "resetchannels" {
			continue
		}
		grant(slices.Delete(slices.Clone(rights), i, i+1))
		n := &node{t: t, backend: pysocketio.New(url), host: adaptertest.NewHost("/")}
		if err := n.backend.Start(n); err != nil {
			t.Fatal(err)
		}
		a, err := n.backend.Open(n.host)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "without "+right+" something is refused", func() bool {
			if len(refusals()) > 0 {
				return true
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_ = a.Broadcast(event(`["all"]`), adapter.Selector{}, adapter.Flags{})
			_, _ = a.FetchSockets(ctx, adapter.Selector{})
			return false
		})
		if err := n.backend.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
