package adapter_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

// told are the states that a function was told of.
type told struct {
	mu     sync.Mutex
	states []adapter.Status
}

func (w *told) add(s adapter.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states = append(w.states, s)
}

func (w *told) all() []adapter.Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.states)
}

// Write makes it a log, with a line for each state.
func (w *told) Write(line []byte) (int, error) {
	w.add(away(string(line)))
	return len(line), nil
}

// await waits until as many states have been told as are wanted, and fails if
// they are not those.
func (w *told) await(t *testing.T, want ...string) {
	t.Helper()
	until(t, fmt.Sprint(len(want), " states"), func() bool { return len(w.all()) >= len(want) })
	var got []string
	for _, s := range w.all() {
		text := fmt.Sprint(s.Connected)
		if s.Err != nil {
			text += " " + s.Err.Error()
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func away(text string) adapter.Status {
	return adapter.Status{Err: errors.New(text), Since: time.Now()}
}

var closed = adapter.Status{Err: adapter.ErrClosed}

func here() adapter.Status { return adapter.Status{Connected: true, Since: time.Now()} }

func TestStatusFeed(t *testing.T) {
	var (
		feed       adapter.StatusFeed
		one, other told
	)
	feed.Watch(one.add)
	remove := feed.Watch(other.add)
	feed.Tell(away("gone"))
	other.await(t, "false gone")
	remove()
	remove()
	feed.Tell(here())
	feed.End(closed)
	feed.End(closed)
	feed.Tell(here())
	one.await(t, "false gone", "true", "false adapter: closed")
	feed.Watch(other.add)()
	other.await(t, "false gone")
}

// A function that blocks holds up nobody, and learns of the last change.
func TestStatusFeedOfOneThatBlocks(t *testing.T) {
	var (
		feed           adapter.StatusFeed
		blocked, other told
	)
	called, free := make(chan struct{}), make(chan struct{})
	var once sync.Once
	feed.Watch(func(s adapter.Status) {
		once.Do(func() { close(called); <-free })
		blocked.add(s)
	})
	feed.Watch(other.add)
	feed.Tell(away("0"))
	<-called
	const changes = 1000
	for i := 1; i < changes; i++ {
		feed.Tell(away(fmt.Sprint(i)))
		until(t, "the other is told", func() bool { return len(other.all()) == i+1 })
	}
	feed.End(closed)
	close(free)
	until(t, "the end is told", func() bool {
		got := blocked.all()
		return len(got) > 0 && errors.Is(got[len(got)-1].Err, adapter.ErrClosed)
	})
	got := blocked.all()
	if len(got) != 65 {
		t.Errorf("%d states", len(got))
	}
	for i, s := range got[1 : len(got)-1] {
		if want := fmt.Sprint(changes - 63 + i); s.Err.Error() != want {
			t.Fatalf("state %d is %v, want %s", i, s.Err, want)
		}
	}
}

// A function that panics ends nothing, and may be told of the next change; one
// that asks for more may do so.
func TestStatusFeedOfOneThatPanics(t *testing.T) {
	var (
		feed adapter.StatusFeed
		log  told
		w    told
	)
	feed.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
	feed.Watch(func(s adapter.Status) {
		w.add(s)
		remove := feed.Watch(w.add)
		remove()
		panic("oh " + fmt.Sprint(s.Connected))
	})
	feed.Tell(here())
	feed.Tell(away("gone"))
	w.await(t, "true", "false gone")
	feed.End(closed)
	w.await(t, "true", "false gone", "false adapter: closed")
	until(t, "all panics are logged", func() bool { return len(log.all()) == 3 })
	if first := log.all()[0].Err.Error(); !strings.Contains(first, "oh true") || !strings.Contains(first, "status_test.go") {
		t.Errorf("logged %s", first)
	}
}

// reporting is a back-end whose state a test sets.
type reporting struct {
	adapter.Backend
	feed adapter.StatusFeed

	mu     sync.Mutex
	status adapter.Status
}

func (r *reporting) Status() adapter.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

func (r *reporting) OnStatus(fn func(adapter.Status)) (remove func()) { return r.feed.Watch(fn) }

func (r *reporting) set(s adapter.Status) {
	r.mu.Lock()
	r.status = s
	r.mu.Unlock()
	r.feed.Tell(s)
}

func TestJoinStatus(t *testing.T) {
	bus := adaptertest.NewBus()
	began := time.Now()
	a := &reporting{Backend: bus.Backend(), status: away("starting")}
	b := &reporting{Backend: bus.Backend(), status: away("starting")}
	joined := adapter.Join(adapter.Named("a", a), adapter.Named("b", b), adapter.Named("silent", adapter.Memory()))
	var w told
	remove := joined.(adapter.StatusReporter).OnStatus(w.add)
	steps := []struct {
		part *reporting
		to   adapter.Status
		want string
	}{
		{a, here(), "false b: starting"},
		{b, here(), "true"},
		{a, away("gone"), "false a: gone"},
		{b, away("gone too"), "false a: gone\nb: gone too"},
		{a, here(), "false b: gone too"},
		{b, here(), "true"},
	}
	var want []string
	for i, step := range steps {
		step.to.Since = began.Add(time.Duration(i) * time.Minute)
		step.part.set(step.to)
		want = append(want, step.want)
		w.await(t, want...)
		now, last := joined.(adapter.StatusReporter).Status(), w.all()[i]
		if now.Connected != last.Connected || !now.Since.Equal(last.Since) || fmt.Sprint(now.Err) != fmt.Sprint(last.Err) {
			t.Errorf("step %d: the state is %v, told was %v", i, now, last)
		}
	}
	if since := w.all()[3].Since; !since.Equal(began.Add(2 * time.Minute)) {
		t.Errorf("two are away since %v after the begin, want that of the first", since.Sub(began))
	}
	if since := w.all()[5].Since; !since.Equal(began.Add(5 * time.Minute)) {
		t.Errorf("all are here since %v after the begin, want that of the last", since.Sub(began))
	}
	a.feed.End(closed)
	w.await(t, append(want, "false a: adapter: closed")...)
	remove()
	b.feed.End(closed)
	time.Sleep(10 * time.Millisecond) // for what must not come
	w.await(t, append(want, "false a: adapter: closed")...)
}
