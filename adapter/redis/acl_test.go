//go:build unix

package redis_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter/redis"
)

// rightsOf returns the rights that the documentation names for a family.
func rightsOf(t *testing.T, family string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```acl " + family + "\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatalf("docs/redis.md has no rights for %s", family)
	}
	return strings.Fields(string(block[1]))
}

// grant makes a user that has only some rights, and forgets what was refused.
func grant(t *testing.T, client *goredis.Client, user string, rights []string) {
	t.Helper()
	args := []any{"acl", "setuser", user, "reset", "on", ">secret"}
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

func refusals(t *testing.T, client *goredis.Client) []any {
	t.Helper()
	log, err := client.Do(t.Context(), "acl", "log").Slice()
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// TestRights holds that the documented rights are enough, and that none of them
// is too much.
func TestRights(t *testing.T) {
	r := runProcess(t)
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	url := "redis://roomspan:secret@" + r.addr()
	for _, f := range families {
		rights := rightsOf(t, f.name)
		t.Run(f.name, func(t *testing.T) {
			grant(t, client, "roomspan", rights)
			a, b := pair(t, url, f.opts...)
			converse(t, a, b)
			for _, n := range []*node{a, b} {
				if err := n.adapter.Close(); err != nil {
					t.Error(err)
				}
				if err := n.backend.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if log := refusals(t, client); len(log) > 0 {
				t.Errorf("refused: %v", log)
			}
		})
		for i, right := range rights {
			if right == "resetchannels" {
				continue
			}
			t.Run(f.name+" without "+strings.ReplaceAll(right, "/", ":"), func(t *testing.T) {
				grant(t, client, "roomspan", slices.Delete(slices.Clone(rights), i, i+1))
				n := start(t, redis.New(url, f.opts...), nodeOptions{rooms: []string{"room"}})
				probeRights(t, n, func() bool { return len(refusals(t, client)) > 0 })
			})
		}
	}
}

// probeRights uses all rights until one is missing.
func probeRights(t *testing.T, n *node, refused func() bool) {
	t.Helper()
	closed := false
	eventually(t, "a right is missing", func() bool {
		if refused() {
			return true
		}
		if !closed && n.backend.Stats().Connected {
			n.emit(`["all"]`)
			_, _ = n.adapter.ServerCount(t.Context())
			if n.backend.Stats().Published > 0 {
				closed = true
				// Unsubscribes, while the connection goes on.
				if err := n.adapter.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		return false
	})
}
