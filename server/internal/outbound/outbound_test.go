package outbound_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gobwas "github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/server/internal/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func message(text string, attachments ...[]byte) *outbound.Message {
	return outbound.Finish(append(outbound.Start(len(text)), text...), attachments, outbound.Flags{})
}

// frames reads what a message is on a WebSocket.
func frames(t *testing.T, m *outbound.Message) (got []string) {
	t.Helper()
	r := bytes.NewReader(m.Frames())
	for r.Len() > 0 {
		h, err := gobwas.ReadHeader(r)
		if err != nil || h.Masked || !h.Fin || h.Rsv != 0 || h.Length > int64(r.Len()) {
			t.Fatalf("header %+v: %v", h, err)
		}
		b := make([]byte, h.Length)
		_, _ = r.Read(b)
		got = append(got, fmt.Sprint(h.OpCode, ":", string(b)))
	}
	return got
}

func TestMessageForms(t *testing.T) {
	for _, n := range []int{0, 1, 123, 124, 125, 65533, 65534, 65535, 65536} {
		text := strings.Repeat("x", n)
		m := message(text)
		if got := frames(t, m); len(got) != 1 || got[0] != "1:4"+text {
			t.Errorf("%d bytes: frames %.50q", n, got)
		}
		if got := string(m.AppendPayload(nil)); got != "4"+text {
			t.Errorf("%d bytes: payload %.50q", n, got)
		}
	}
	big := bytes.Repeat([]byte{0xfe}, 70_000)
	m := message("51-[]", []byte{1, 2}, nil, big)
	if got := frames(t, m); len(got) != 4 || got[0] != "1:451-[]" || got[1] != "2:\x01\x02" || got[2] != "2:" || got[3] != "2:"+string(big) {
		t.Errorf("frames %.80q", got)
	}
	if want := "before\x1e451-[]\x1ebAQI=\x1eb\x1eb" + base64.StdEncoding.EncodeToString(big); string(m.AppendPayload([]byte("before"))) != want {
		t.Error("payload differs")
	}
	if m.Packets() != 4 {
		t.Errorf("%d packets", m.Packets())
	}
	if b := outbound.Binary(outbound.Flags{}, []byte{9}); string(b.AppendPayload(nil)) != "bCQ==" || fmt.Sprint(frames(t, b)) != "[2:\t]" {
		t.Error("a binary packet alone")
	}
	if p := outbound.Packet("2"); string(p.AppendPayload(nil)) != "2" || string(p.Frames()) != "\x81\x012" {
		t.Error("a packet of the protocol")
	}
	if f := outbound.Frame([]byte{0x8a, 0}); len(f.AppendPayload(nil)) != 0 || f.Packets() != 0 {
		t.Error("a control frame exists on polling")
	}
}

func TestPayloadIsBuiltOnceForAll(t *testing.T) {
	m := message("x", []byte("abc"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if string(m.AppendPayload(nil)) != "4x\x1ebYWJj" {
				t.Error("payload differs")
			}
		})
	}
	wg.Wait()
}

func TestQueue(t *testing.T) {
	var q outbound.Queue
	next, taken := 0, 0
	for round := range 100 {
		for range round {
			q.Push(message(fmt.Sprint(next)))
			next++
		}
		for _, m := range q.Pop(make([]*outbound.Message, 0, 7), 1000) {
			if got := string(m.AppendPayload(nil)); got != "4"+fmt.Sprint(taken) {
				t.Fatalf("took %s, want %d", got, taken)
			}
			taken++
		}
		if q.Len() != next-taken {
			t.Fatalf("length %d, want %d", q.Len(), next-taken)
		}
	}
	if rest := q.TakeAll(); len(rest) != next-taken || q.Len() != 0 || q.Bytes() != 0 {
		t.Errorf("%d left, then %d and %d bytes", len(rest), q.Len(), q.Bytes())
	}
}

func TestQueuePopStopsAtTheSize(t *testing.T) {
	var q outbound.Queue
	for range 10 {
		q.Push(message(strings.Repeat("x", 97))) // 100 bytes with type and header
	}
	if n := len(q.Pop(make([]*outbound.Message, 0, 100), 250)); n != 3 {
		t.Errorf("%d messages for 250 bytes", n)
	}
	if q.Bytes() != 700 {
		t.Errorf("%d bytes left", q.Bytes())
	}
	if n := len(q.Pop(make([]*outbound.Message, 0, 100), 1)); n != 1 {
		t.Errorf("%d messages, want at least one", n)
	}
}

func TestQueueDropVolatile(t *testing.T) {
	var q outbound.Queue
	for i := range 10 {
		m := message(fmt.Sprint(i))
		m.Volatile = i%2 == 0
		q.Push(m)
	}
	q.Pop(make([]*outbound.Message, 0, 3), 1000)
	if n := q.DropVolatile(); n != 3 {
		t.Errorf("%d dropped", n)
	}
	var got []string
	bytes := q.Bytes()
	for _, m := range q.TakeAll() {
		got = append(got, string(m.AppendPayload(nil)))
		bytes -= len(m.Frames())
	}
	if fmt.Sprint(got) != "[43 45 47 49]" || bytes != 0 {
		t.Errorf("left %v, %d bytes miscounted", got, bytes)
	}
}

// target notes how it was flushed, and when.
type target struct {
	mu      sync.Mutex
	flushed int
	overdue []time.Time
}

func (g *target) Flush() { g.mu.Lock(); g.flushed++; g.mu.Unlock() }

func (g *target) FlushOverdue() {
	g.mu.Lock()
	g.overdue = append(g.overdue, time.Now())
	g.mu.Unlock()
}

func TestFlusher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := outbound.NewFlusher()
		defer f.Close()
		targets := make([]target, 50)
		for round := 1; round <= 3; round++ {
			for i := range targets {
				f.Schedule(&targets[i], uint32(i))
			}
			synctest.Wait()
			for i := range targets {
				if targets[i].flushed != round {
					t.Fatalf("target %d was flushed %d times, want %d", i, targets[i].flushed, round)
				}
			}
		}
		for range 3 {
			start := time.Now()
			f.Later(&targets[0], 0)
			time.Sleep(20 * time.Millisecond)
			synctest.Wait()
			all := targets[0].overdue
			if late := all[len(all)-1].Sub(start); late <= 0 || late > 2*time.Millisecond {
				t.Errorf("flushed after %v", late)
			}
		}
		if n := len(targets[0].overdue); n != 3 {
			t.Errorf("flushed %d times, want 3", n)
		}
	})
}

func TestFlusherFlushesEverythingBeforeItEnds(t *testing.T) {
	f := outbound.NewFlusher()
	var g target
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 1000 {
				f.Schedule(&g, uint32(i))
			}
		})
	}
	wg.Wait()
	f.Close()
	if g.flushed != 4000 {
		t.Errorf("%d flushes, want 4000", g.flushed)
	}
}

func BenchmarkFinish(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		outbound.Finish(append(outbound.Start(40), `2["message","hello world, hello all"]`...), nil, outbound.Flags{})
	}
}
