//go:build unix

package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter/redis"
)

// pastStream is a stream whose entries a test names itself, as if one server had
// taken over from another.
type pastStream struct {
	t      *testing.T
	client *goredis.Client
	base   int64 // milliseconds, later than all ids that Redis gives
}

func newPastStream(t *testing.T, r *process) *pastStream {
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	t.Cleanup(func() { _ = client.Close() })
	return &pastStream{t, client, time.Now().Add(time.Hour).UnixMilli()}
}

func (h *pastStream) id(i int) string { return fmt.Sprintf("%d-0", h.base+int64(i)) }

func (h *pastStream) values(event string) []string {
	return []string{"uid", "emitter", "nsp", "/", "type", "3",
		"data", `{"packet":{"type":2,"data":["` + event + `"]},"opts":{"rooms":[],"except":[],"flags":{}}}`}
}

func (h *pastStream) add(i int, event string) {
	h.t.Helper()
	err := h.client.XAdd(h.t.Context(), &goredis.XAddArgs{Stream: "socket.io", ID: h.id(i), Values: h.values(event)}).Err()
	if err != nil {
		h.t.Fatal(err)
	}
}

// entry is an event at a place in a stream.
type entry struct {
	i     int
	event string
}

// failOver puts a server in place of Redis that has no entry after one of
// them, but others: all connections break, and nobody reads what is between.
func (h *pastStream) failOver(common int, lost []int, instead ...entry) {
	h.t.Helper()
	_, err := h.client.TxPipelined(h.t.Context(), func(tx goredis.Pipeliner) error {
		for _, kind := range []string{"normal", "pubsub"} {
			tx.ClientKillByFilter(h.t.Context(), "TYPE", kind, "SKIPME", "yes")
		}
		for _, i := range lost {
			tx.XDel(h.t.Context(), "socket.io", h.id(i))
		}
		tx.Do(h.t.Context(), "xsetid", "socket.io", h.id(common))
		for _, e := range instead {
			tx.XAdd(h.t.Context(), &goredis.XAddArgs{Stream: "socket.io", ID: h.id(e.i), Values: h.values(e.event)})
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// numbers are those from first to last, and olds their events.
func numbers(first, last int) (all []int) {
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	return all
}

func olds(first, last int) (all []string) {
	for _, i := range numbers(first, last) {
		all = append(all, fmt.Sprintf("old %d", i))
	}
	return all
}

// A server that takes over may have entries that came, by their ids, before
// the last one that was read of the other, which it has not: while both were
// masters, one node wrote to the one and another node read from the other.
func TestFailoverEntriesBeforeThePosition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		memory  int
		read    []int
		lost    []int
		instead []entry
		want    []string
	}{
		{name: "the stream went on", memory: 100, read: []int{10, 20, 30}, lost: []int{20, 30},
			instead: []entry{{15, "new 15"}, {25, "new 25"}, {40, "new 40"}},
			want:    []string{"old 10", "old 20", "old 30", "new 15", "new 25", "new 40"}},
		{name: "the same ids", memory: 100, read: []int{10, 20, 30}, lost: []int{20, 30},
			instead: []entry{{20, "new 20"}, {25, "new 25"}, {30, "new 30"}, {40, "new 40"}},
			want:    []string{"old 10", "old 20", "old 30", "new 20", "new 25", "new 30", "new 40"}},
		{name: "the stream went backwards", memory: 100, read: []int{10, 20, 30}, lost: []int{20, 30},
			instead: []entry{{15, "new 15"}, {20, "new 20"}},
			want:    []string{"old 10", "old 20", "old 30", "new 15", "new 20"}},
		{name: "everything was lost that is remembered", memory: 16, read: numbers(10, 30), lost: numbers(11, 30),
			instead: []entry{{25, "new 25"}, {40, "new 40"}},
			want:    append(olds(10, 30), "new 25", "new 40")},
		{name: "nothing was lost", memory: 100, read: []int{10, 20, 30},
			instead: []entry{{40, "new 40"}},
			want:    []string{"old 10", "old 20", "old 30", "new 40"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := runProcess(t)
			h := newPastStream(t, r)
			n := streamNode(t, r.url(), redis.StreamMemory(c.memory))
			for _, i := range c.read {
				h.add(i, fmt.Sprintf("old %d", i))
			}
			n.wait(fmt.Sprintf(`["old %d"]`, c.read[len(c.read)-1]))
			common := c.read[len(c.read)-1]
			if len(c.lost) > 0 {
				common = c.read[slices.Index(c.read, c.lost[0])-1]
			}
			h.failOver(common, c.lost, c.instead...)
			last := c.want[len(c.want)-1]
			got := n.wait(`["` + last + `"]`)
			if want := `["` + strings.Join(c.want, `"] ["`) + `"]`; strings.Join(got, " ") != want {
				t.Errorf("received %s, want %s\n%s", got, want, n.log)
			}
		})
	}
}
