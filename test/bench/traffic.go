package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// figures are what one run of a work measured.
type figures struct {
	PerSecond     float64 // messages delivered, or connects
	CPU           float64 // microseconds of server CPU for each of them
	P50, P99      float64 // milliseconds
	PerConnection float64 // KiB resident
}

// traffic is a run in which messages are counted: a second to warm up, then
// the time that is measured, then the end, when everything that is under way
// must still come.
type traffic struct {
	measured atomic.Bool
	ending   atomic.Bool
	count    atomic.Int64

	mu        sync.Mutex
	latencies []time.Duration
	failure   error
}

// fail notes the first error. After the end of a run there is none.
func (t *traffic) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure == nil {
		t.failure = err
	}
	t.ending.Store(true)
}

// keep takes the latencies of one client.
func (t *traffic) keep(latencies []time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.latencies = append(t.latencies, latencies...)
}

// run measures while the clients work. wait returns when all have ended.
func (t *traffic) run(d time.Duration, servers []*process, wait func()) (figures, error) {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	pause := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-done:
		}
	}
	pause(time.Second)
	t.measured.Store(true)
	began, cpu, count := time.Now(), cpuOf(servers), t.count.Load()
	pause(d)
	t.measured.Store(false)
	elapsed, cpu, count := time.Since(began), cpuOf(servers)-cpu, t.count.Load()-count
	t.ending.Store(true)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		return figures{}, fmt.Errorf("messages are missing 20 s after the end")
	}
	f, err := t.summary()
	if err == nil && count == 0 {
		err = fmt.Errorf("no message came")
	}
	f.PerSecond = float64(count) / elapsed.Seconds()
	f.CPU = float64(cpu.Microseconds()) / float64(count)
	return f, err
}

// summary returns the latencies of a run that has ended.
func (t *traffic) summary() (figures, error) {
	var f figures
	slices.Sort(t.latencies)
	if n := len(t.latencies); n > 0 {
		f.P50 = t.latencies[n/2].Seconds() * 1000
		f.P99 = t.latencies[n*99/100].Seconds() * 1000
	}
	return f, t.failure
}

func cpuOf(servers []*process) time.Duration {
	var sum time.Duration
	for _, s := range servers {
		sum += s.cpu()
	}
	return sum
}

const payloadSize = 64

// numbered returns the text of an event whose argument is a number of ten
// digits and filling up to size bytes.
func numbered(prefix string, n int, size int) []byte {
	b := append([]byte(prefix), fmt.Sprintf("%010d", n)...)
	for range size - 10 {
		b = append(b, 'x')
	}
	return append(b, `"]`...)
}

// numberAfter reads the decimal number behind a prefix of a message.
func numberAfter(p []byte, prefix string) (int, error) {
	rest, ok := bytes.CutPrefix(p, []byte(prefix))
	if !ok {
		return 0, fmt.Errorf("unexpected message %.60q", p)
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	v, err := strconv.Atoi(string(rest[:n]))
	if err != nil {
		return 0, fmt.Errorf("no number in message %.60q", p)
	}
	return v, nil
}
