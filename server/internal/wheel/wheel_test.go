package wheel_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/roomspan/roomspan/server/internal/wheel"
)

const tick = 50 * time.Millisecond

// owner notes when its timer expired, and may do more.
type owner struct {
	timer wheel.Timer
	fired []time.Time
	then  func()
}

func (o *owner) Expire(t *wheel.Timer) {
	if t != &o.timer {
		panic("another timer")
	}
	o.fired = append(o.fired, time.Now())
	if o.then != nil {
		o.then()
	}
}

// inBubble runs f with a wheel and faked time. What is written by Expire may be
// read after synctest.Wait.
func inBubble(t *testing.T, f func(w *wheel.Wheel)) {
	synctest.Test(t, func(*testing.T) {
		w := wheel.New(tick)
		defer w.Close()
		f(w)
	})
}

// check asserts that o has expired once, in d after start.
func (o *owner) check(t *testing.T, start time.Time, d time.Duration) {
	t.Helper()
	synctest.Wait()
	if len(o.fired) != 1 {
		t.Fatalf("set for %v: expired %d times, want 1", d, len(o.fired))
	}
	if took := o.fired[0].Sub(start); took < d || took > max(d, 0)+tick {
		t.Errorf("set for %v: expired after %v", d, took)
	}
}

func TestExpiresNeitherEarlyNorLate(t *testing.T) {
	turn := 512 * tick
	for _, d := range []time.Duration{
		math.MinInt64, -time.Second, 0, 1, tick - 1, tick, tick + 1, time.Second, 25 * time.Second,
		turn - tick, turn - 1, turn, turn + 1, turn + tick, 3 * turn, time.Hour,
	} {
		inBubble(t, func(w *wheel.Wheel) {
			time.Sleep(7*time.Hour + 13*time.Millisecond) // the wheel is idle for long, and between ticks
			o, start := new(owner), time.Now()
			w.Set(&o.timer, o, d)
			time.Sleep(max(d, 0) + 2*tick)
			o.check(t, start, d)
			if w.Stop(&o.timer) {
				t.Errorf("set for %v: Stop true after it expired", d)
			}
		})
	}
}

func TestManyTimers(t *testing.T) {
	inBubble(t, func(w *wheel.Wheel) {
		random := rand.New(rand.NewPCG(1, 2))
		type set struct {
			owner
			start time.Time
			d     time.Duration
		}
		var all []*set
		for range 2000 {
			s := &set{start: time.Now(), d: time.Duration(random.Int64N(int64(2 * time.Minute)))}
			w.Set(&s.timer, s, s.d)
			all = append(all, s)
			time.Sleep(time.Duration(random.Int64N(int64(tick))))
		}
		time.Sleep(3 * time.Minute)
		for _, s := range all {
			s.check(t, s.start, s.d)
		}
	})
}

func TestSetAgain(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second time.Duration
	}{
		{"later", time.Second, 10 * time.Second},
		{"much later", time.Second, time.Hour},
		{"earlier", time.Hour, time.Second},
		{"earlier than the goroutine sleeps", 10 * time.Second, 0},
		{"the same", time.Second, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(w *wheel.Wheel) {
				o := new(owner)
				w.Set(&o.timer, o, tc.first)
				time.Sleep(tc.first / 2)
				start := time.Now()
				w.Set(&o.timer, o, tc.second)
				time.Sleep(2 * time.Hour)
				o.check(t, start, tc.second)
			})
		})
	}
}

func TestHeartbeats(t *testing.T) {
	inBubble(t, func(w *wheel.Wheel) {
		o := new(owner)
		for range 1000 {
			w.Set(&o.timer, o, time.Second)
			time.Sleep(time.Second - 1)
		}
		w.Set(&o.timer, o, time.Second)
		start := time.Now()
		time.Sleep(time.Minute)
		o.check(t, start, time.Second)
	})
}

func TestStop(t *testing.T) {
	inBubble(t, func(w *wheel.Wheel) {
		o := new(owner)
		if w.Stop(&o.timer) {
			t.Error("Stop true before Set")
		}
		for _, passed := range []time.Duration{0, time.Second, 30 * time.Second} {
			w.Set(&o.timer, o, time.Minute)
			time.Sleep(passed)
			if !w.Stop(&o.timer) || w.Stop(&o.timer) {
				t.Error("Stop: want true once")
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(o.fired) != 0 {
			t.Error("expired after Stop")
		}
	})
}

func TestExpireSetsAndStops(t *testing.T) {
	inBubble(t, func(w *wheel.Wheel) {
		var other, o owner
		const period = 512 * tick // comes into the slot that is being served
		o.then = func() {
			w.Stop(&other.timer)
			if len(o.fired) < 5 {
				w.Set(&o.timer, &o, period)
			}
		}
		start := time.Now()
		w.Set(&o.timer, &o, time.Second)
		w.Set(&other.timer, &other, time.Second) // the same slot, behind
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(other.fired) != 0 {
			t.Error("expired after Expire of another had stopped it")
		}
		if len(o.fired) != 5 {
			t.Fatalf("expired %d times, want 5", len(o.fired))
		}
		for i, at := range o.fired {
			want := time.Second + time.Duration(i)*period
			if took := at.Sub(start); took < want || took > want+time.Duration(i+1)*tick {
				t.Errorf("expiry %d after %v, want %v", i, took, want)
			}
		}
	})
}

// A goroutine that is late, as after a pause of the machine, serves everything.
func TestSlowExpire(t *testing.T) {
	inBubble(t, func(w *wheel.Wheel) {
		slow := &owner{then: func() { time.Sleep(time.Hour) }}
		w.Set(&slow.timer, slow, time.Second)
		var rest [100]owner
		for i := range rest {
			w.Set(&rest[i].timer, &rest[i], time.Duration(i+2)*time.Second)
		}
		time.Sleep(time.Hour + 2*time.Second)
		synctest.Wait()
		for i := range rest {
			if len(rest[i].fired) != 1 {
				t.Errorf("timer %d expired %d times", i, len(rest[i].fired))
			}
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := wheel.New(tick)
		var armed, late owner
		w.Set(&armed.timer, &armed, time.Second)
		w.Close()
		w.Set(&late.timer, &late, time.Second)
		if w.Stop(&late.timer) {
			t.Error("set after Close")
		}
		time.Sleep(time.Minute)
		w.Close()
		if len(armed.fired)+len(late.fired) != 0 {
			t.Error("expired after Close")
		}
	})
}

// In a bubble time passes only while every goroutine waits for it: a wheel that
// polled would have to go through all ticks of a hundred years.
func TestIdleWheelSleeps(t *testing.T) {
	inBubble(t, func(w *wheel.Wheel) {
		o := new(owner)
		w.Set(&o.timer, o, time.Second)
		w.Stop(&o.timer)
		for range 10 {
			time.Sleep(100 * 365 * 24 * time.Hour / 10)
		}
	})
}

func TestTimerIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(wheel.Timer{}); size > 64 {
		t.Errorf("a timer has %d bytes", size)
	}
}

// counter counts what became of its settings.
type counter struct {
	timer   wheel.Timer
	mu      sync.Mutex // makes Set, Stop and the count of one owner one step
	set     int
	stopped int
	expired atomic.Int64
}

func (c *counter) Expire(*wheel.Timer) { c.expired.Add(1) }

// Every setting ends in one of: Stop true, Set again, Expire.
func TestRaces(t *testing.T) {
	const owners, goroutines, rounds = 20, 8, 2000
	w := wheel.New(time.Microsecond)
	var counters [owners]counter
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 0))
			for range rounds {
				c := &counters[random.IntN(owners)]
				c.mu.Lock()
				if w.Stop(&c.timer) {
					c.stopped++
				} else {
					w.Set(&c.timer, c, time.Duration(random.Int64N(int64(50*time.Microsecond))))
					c.set++
				}
				c.mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i := range counters {
		if c := &counters[i]; w.Stop(&c.timer) {
			c.stopped++
		}
	}
	w.Close()
	for i := range counters {
		if c := &counters[i]; c.set != c.stopped+int(c.expired.Load()) {
			t.Errorf("set %d times, stopped %d, expired %d", c.set, c.stopped, c.expired.Load())
		}
	}
}

func TestConcurrentSetOfOneTimer(t *testing.T) {
	w := wheel.New(time.Microsecond)
	defer w.Close()
	var c counter
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				w.Set(&c.timer, &c, time.Duration(i%100)*time.Microsecond)
			}
		})
	}
	wg.Wait()
	w.Set(&c.timer, &c, time.Hour)
	if !w.Stop(&c.timer) || w.Stop(&c.timer) {
		t.Error("Stop: want true once")
	}
}

func BenchmarkSetLater(b *testing.B) {
	w := wheel.New(tick)
	defer w.Close()
	o := new(owner)
	b.ReportAllocs()
	for b.Loop() {
		w.Set(&o.timer, o, 25*time.Second)
	}
}

func BenchmarkSetStop(b *testing.B) {
	w := wheel.New(tick)
	defer w.Close()
	o, other := new(owner), new(owner)
	w.Set(&other.timer, other, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		w.Set(&o.timer, o, 25*time.Second)
		w.Stop(&o.timer)
	}
}

func BenchmarkSetParallel(b *testing.B) {
	w := wheel.New(tick)
	defer w.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		o := new(owner)
		for pb.Next() {
			w.Set(&o.timer, o, 25*time.Second)
		}
	})
}
