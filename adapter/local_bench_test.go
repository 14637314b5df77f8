package adapter_test

import (
	"fmt"
	"iter"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

// countingHost counts receivers and does nothing else.
type countingHost struct {
	*adaptertest.Host
	receivers int
}

func (h *countingHost) Deliver(_ *adapter.Packet, _ adapter.Flags, to iter.Seq[adapter.Socket]) {
	for range to {
		h.receivers++
	}
}

func filled(tb testing.TB, members int) (*adapter.Local, *countingHost) {
	host := &countingHost{Host: adaptertest.NewHost("/")}
	l := adapter.NewLocal(host)
	for i := range members {
		add(tb, l, fmt.Sprint("socket", i), "room", fmt.Sprint("half", i%2))
	}
	return l, host
}

var selectors = []struct {
	name string
	sel  adapter.Selector
}{
	{"all", adapter.Selector{}},
	{"room", adapter.Selector{Rooms: []string{"room"}}},
	{"roomButSender", adapter.Selector{Rooms: []string{"room"}, Except: []string{"socket7"}}},
	{"roomButRoom", adapter.Selector{Rooms: []string{"room"}, Except: []string{"half1"}}},
	{"twoRooms", adapter.Selector{Rooms: []string{"room", "half0"}}},
	{"id", adapter.Selector{Rooms: []string{"socket7"}}},
}

// TestBroadcastAllocs holds that a broadcast allocates nothing for a receiver.
func TestBroadcastAllocs(t *testing.T) {
	small, _ := filled(t, 10)
	large, _ := filled(t, 5000)
	for _, s := range selectors {
		allocs := func(l *adapter.Local) float64 {
			return testing.AllocsPerRun(20, func() { _ = l.Broadcast(packet, s.sel, adapter.Flags{}) })
		}
		few, many := allocs(small), allocs(large)
		if few != many || many > 4 {
			t.Errorf("%s: %v allocations for 10 sockets, %v for 5000", s.name, few, many)
		}
	}
}

func BenchmarkBroadcast(b *testing.B) {
	for _, members := range []int{100, 10_000} {
		l, host := filled(b, members)
		for _, s := range selectors {
			b.Run(fmt.Sprintf("%s/%d", s.name, members), func(b *testing.B) {
				b.ReportAllocs()
				host.receivers = 0
				for b.Loop() {
					_ = l.Broadcast(packet, s.sel, adapter.Flags{})
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(host.receivers), "ns/receiver")
			})
		}
	}
}

func BenchmarkAddDel(b *testing.B) {
	for _, members := range []int{10, 100_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			l, _ := filled(b, members)
			s, ok := l.Lookup("socket3")
			if !ok {
				b.Fatal("no socket")
			}
			b.ReportAllocs()
			for b.Loop() {
				l.Del(s, "room")
				l.Add(s, "room")
			}
		})
	}
}

func BenchmarkConnect(b *testing.B) {
	l, _ := filled(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		s := adaptertest.NewSocket("another")
		l.Add(s, "room")
		l.DelAll(s)
	}
}

func BenchmarkWanted(b *testing.B) {
	l, _ := filled(b, 1000)
	sel := adapter.Selector{Rooms: []string{"nobody"}}
	b.ReportAllocs()
	for b.Loop() {
		if l.Wanted(sel) {
			b.Fatal("wanted")
		}
	}
}
