package redis

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// recorded is a line that writes down what it does.
const offsetWait = 500 * time.Millisecond

type recorded struct {
	*line
	log  []string
	sent uint64
	soon bool
}

func newRecorded(limit int) *recorded {
	r := &recorded{soon: true}
	r.line = newLine(limit, offsetWait, func(p *adapter.Packet, _ adapter.Selector, _ adapter.Flags) {
		r.log = append(r.log, strings.Trim(string(p.Args), "[]"))
	}, func(m *cluster.Message) { r.log = append(r.log, "joined "+m.Rooms[0]) })
	return r
}

func (r *recorded) emit(text string) error {
	return r.wait(&lineItem{packet: packet("[" + text + "]")}, func() (uint64, bool, error) {
		r.sent++
		return r.sent, r.soon, nil
	})
}

func (r *recorded) then(text string) { _ = r.follow(&lineItem{packet: packet("[" + text + "]")}) }

func (r *recorded) expect(t *testing.T, want string, floor streamID, unsure bool) {
	t.Helper()
	if got := strings.Join(r.log, " "); got != want {
		t.Errorf("did %q, want %q", got, want)
	}
	if f, u := r.state(); f != floor || u != unsure {
		t.Errorf("floor %v, unsure %v; want %v, %v", f, u, floor, unsure)
	}
}

func TestLine(t *testing.T) {
	none := streamID{}
	for _, tt := range []struct {
		name string
		act  func(t *testing.T, r *recorded)
	}{
		{"in the order of the stream", func(t *testing.T, r *recorded) {
			r.then("0")
			_ = r.emit("1")
			r.then("x")
			_ = r.emit("2")
			_ = r.follow(&lineItem{change: &cluster.Message{Rooms: []string{"a"}}})
			r.expect(t, "0", none, false)
			r.found(1, streamID{7, 0})
			r.expect(t, `0 1,"7-0" x`, none, false)
			r.found(1, streamID{8, 0}) // repeated
			r.found(2, streamID{9, 0})
			r.expect(t, `0 1,"7-0" x 2,"9-0" joined a`, none, false)
		}},
		{"too late", func(t *testing.T, r *recorded) {
			_ = r.emit("1")
			time.Sleep(offsetWait / 2)
			_ = r.emit("2")
			r.then("x")
			time.Sleep(offsetWait/2 - 1)
			synctest.Wait()
			r.expect(t, "", none, false)
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			r.expect(t, "1 2 x", none, true)
			r.found(1, streamID{7, 0})
			r.expect(t, "1 2 x", streamID{7, 0}, true)
			r.found(2, streamID{8, 0})
			r.expect(t, "1 2 x", streamID{8, 0}, false)
		}},
		{"Redis is away", func(t *testing.T, r *recorded) {
			_ = r.emit("1")
			r.soon = false
			_ = r.emit("2")
			r.soon = true
			_ = r.emit("3")
			r.expect(t, "1 2", none, true)
			r.found(3, streamID{9, 0}) // the others were dropped
			r.expect(t, `1 2 3,"9-0"`, streamID{9, 0}, false)
		}},
		{"dropped before a later one", func(t *testing.T, r *recorded) {
			_ = r.emit("1")
			_ = r.emit("2")
			r.found(2, streamID{9, 0})
			r.expect(t, `1 2,"9-0"`, streamID{9, 0}, false)
		}},
		{"full", func(t *testing.T, r *recorded) {
			for range 6 {
				_ = r.emit("n")
			}
			r.expect(t, "n n n n n n", none, true)
		}},
		{"not queued", func(t *testing.T, r *recorded) {
			_ = r.emit("1")
			failed := errors.New("too large")
			err := r.wait(&lineItem{packet: packet("[2]")}, func() (uint64, bool, error) { return 0, false, failed })
			if err != failed {
				t.Errorf("error is %v", err)
			}
			r.expect(t, "", none, false)
			r.found(1, streamID{7, 0})
			r.expect(t, `1,"7-0" 2`, none, false)
		}},
		{"closed", func(t *testing.T, r *recorded) {
			_ = r.emit("1")
			r.close()
			if err := r.emit("2"); !errors.Is(err, adapter.ErrClosed) {
				t.Errorf("error is %v", err)
			}
			r.expect(t, "1", none, true)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRecorded(5)
				defer r.close()
				tt.act(t, r)
			})
		})
	}
}

// TestLineIsNotDrainedByWhoEmits holds that he is not held up by all that has
// waited: most of it is delivered by somebody else, in its order.
func TestLineIsNotDrainedByWhoEmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1000
		r := newRecorded(limit)
		record := r.deliver
		free := make(chan struct{})
		r.deliver = func(p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) {
			if len(r.log) == helpMost {
				<-free
			}
			record(p, sel, flags)
		}
		for i := range limit + 1 {
			_ = r.emit(strconv.Itoa(i)) // the last one may not block
		}
		synctest.Wait()
		if len(r.log) != helpMost {
			t.Errorf("%d delivered", len(r.log))
		}
		close(free)
		synctest.Wait()
		for i, text := range r.log {
			if text != strconv.Itoa(i) {
				t.Fatalf("delivered %s in the place of %d", text, i)
			}
		}
		if len(r.log) != limit+1 {
			t.Errorf("%d delivered", len(r.log))
		}
		r.close()
	})
}
