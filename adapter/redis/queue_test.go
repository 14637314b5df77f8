package redis

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

func TestQueueDropsTheOldest(t *testing.T) {
	q := newQueue(40, 1<<20)
	dropped := 0
	for i := range 100 {
		n, err := q.push(outgoing{channel: strconv.Itoa(i)})
		if err != nil {
			t.Fatal(err)
		}
		dropped += n
	}
	if dropped != 60 || q.len() != 40 {
		t.Fatalf("%d dropped, %d left", dropped, q.len())
	}
	next := 60
	for q.len() > 0 {
		for _, m := range q.take(nil, 7, 1<<20) {
			if m.channel != strconv.Itoa(next) {
				t.Fatalf("got %s, want %d", m.channel, next)
			}
			next++
		}
	}
	if q.bytes != 0 {
		t.Errorf("%d bytes left", q.bytes)
	}
}

func TestQueueBoundsBytes(t *testing.T) {
	q := newQueue(1000, 100)
	for range 10 {
		if _, err := q.push(outgoing{payload: make([]byte, 30)}); err != nil {
			t.Fatal(err)
		}
	}
	if q.len() != 3 || q.bytes != 90 {
		t.Errorf("%d messages, %d bytes", q.len(), q.bytes)
	}
	if n, err := q.push(outgoing{payload: make([]byte, 101)}); n != 1 || err == nil {
		t.Errorf("a message larger than the queue: %d, %v", n, err)
	}
	if batch := q.take(nil, 10, 50); len(batch) != 2 {
		t.Errorf("a batch of %d", len(batch))
	}
	q.close()
	if _, err := q.push(outgoing{}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	if batch := q.take(nil, 10, 50); len(batch) != 1 {
		t.Errorf("after close, a batch of %d", len(batch))
	}
}

// TestQueueExpires holds that a message waits for no longer than its age, from
// when it was queued, or from when nothing could be sent any more.
func TestQueueExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1000, 1<<20)
		const age = time.Minute
		push := func(from, to int) {
			for i := from; i < to; i++ {
				if _, err := q.push(outgoing{channel: strconv.Itoa(i)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		push(0, 300)
		batch := q.take(nil, 100, 1<<20)
		time.Sleep(time.Hour)
		if left, dropped := q.expire(batch, age); dropped > 0 || len(left) != 100 {
			t.Fatalf("%d dropped of what flows", dropped)
		}
		q.hold(nil)
		time.Sleep(age / 2)
		push(300, 600)
		time.Sleep(age / 2)
		if _, dropped := q.expire(batch, age); dropped > 0 {
			t.Fatalf("%d dropped too early", dropped)
		}
		time.Sleep(time.Nanosecond)
		if left, dropped := q.expire(batch, 0); dropped > 0 || len(left) != 100 {
			t.Fatalf("%d dropped without a limit", dropped)
		}
		batch, dropped := q.expire(batch, age)
		if dropped != 300 || len(batch) != 0 || q.len() != 300 || q.oldest().channel != "300" {
			t.Fatalf("%d dropped, %d taken, %d left", dropped, len(batch), q.len())
		}
		q.release()
		push(600, 900)
		time.Sleep(time.Hour)
		q.hold(nil)
		if _, dropped := q.expire(nil, age); dropped != 300 {
			t.Fatalf("%d dropped after another hold", dropped)
		}
		for i, m := range q.take(nil, 1000, 1<<20) {
			if m.channel != strconv.Itoa(600+i) {
				t.Fatalf("%s is in the place of %d", m.channel, 600+i)
			}
		}
	})
}

func BenchmarkQueue(b *testing.B) {
	q := newQueue(10_000, 16<<20)
	m := outgoing{channel: "socket.io#/#", payload: make([]byte, 100)}
	var batch []outgoing
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.push(m); err != nil {
			b.Fatal(err)
		}
		batch = q.take(batch[:0], 1, 1<<20)
	}
}

func TestQueueTakesTransient(t *testing.T) {
	q := newQueue(40, 1<<20)
	for i := range 60 { // wraps around
		m := outgoing{channel: strconv.Itoa(i), entry: &streamEntry{}}
		if i%5 == 0 {
			m.entry = nil
		}
		if _, err := q.push(m); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for {
		taken := q.takeTransient(3)
		if len(taken) == 0 {
			break
		}
		for _, m := range taken {
			got = append(got, m.channel)
		}
	}
	if want := "20 25 30 35 40 45 50 55"; strings.Join(got, " ") != want {
		t.Errorf("taken %q, want %s", got, want)
	}
	last := 0
	for _, m := range q.take(nil, 100, 1<<20) {
		n, _ := strconv.Atoi(m.channel)
		if n <= last || m.transient() {
			t.Errorf("%d after %d", n, last)
		}
		last = n
	}
	if q.bytes != 0 || q.transient != 0 {
		t.Errorf("%d bytes, %d transient left", q.bytes, q.transient)
	}
}
