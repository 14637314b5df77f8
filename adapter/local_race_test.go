package adapter_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

// TestOnceWhileMoving holds that a broadcast to two rooms reaches a socket
// that is always in one of them exactly once, however it moves.
func TestOnceWhileMoving(t *testing.T) {
	for _, extra := range []int{0, 20} { // also the way for many rooms
		l, _ := newLocal()
		const broadcasts = 300
		rooms := []string{"left", "right"}
		for i := range extra {
			rooms = append(rooms, fmt.Sprint("empty", i))
		}
		stop := make(chan struct{})
		var movers sync.WaitGroup
		var sockets []*adaptertest.Socket
		for i := range 8 {
			s := add(t, l, fmt.Sprint(i), "left")
			sockets = append(sockets, s)
			movers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					l.Add(s, "right")
					l.Del(s, "left")
					l.Add(s, "left")
					l.Del(s, "right")
				}
			})
		}
		for range broadcasts {
			if err := l.Broadcast(packet, adapter.Selector{Rooms: rooms}, adapter.Flags{}); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		movers.Wait()
		for _, s := range sockets {
			if got := len(s.Received()); got != broadcasts {
				t.Errorf("%s received %d of %d", s.ID(), got, broadcasts)
			}
		}
	}
}

// TestNoJoinAfterDisconnect lets sockets join, and be made to join, while they
// go: nothing may remain of them.
func TestNoJoinAfterDisconnect(t *testing.T) {
	l, _ := newLocal()
	for i := range 2000 {
		s := add(t, l, "id", "a")
		var race sync.WaitGroup
		race.Go(func() { l.Add(s, "b", "c", fmt.Sprint(i)) })
		race.Go(func() { _ = l.AddSockets(adapter.Selector{}, []string{"d", "e"}) })
		race.Go(func() { l.Del(s, "a", "b") })
		race.Go(func() { _ = l.Broadcast(packet, adapter.Selector{Except: []string{"d"}}, adapter.Flags{}) })
		race.Go(func() { l.DelAll(s) })
		race.Wait()
		if rooms := s.Membership().Rooms(); rooms != nil {
			t.Fatalf("a socket that is gone is in %q", rooms)
		}
		if rooms, _ := l.Rooms(t.Context()); len(rooms) != 0 || l.Wanted(adapter.Selector{}) {
			t.Fatalf("rooms %q are left", rooms)
		}
		if l.Add(s, "f") {
			t.Fatal("Add after DelAll = true")
		}
	}
}

// TestConcurrentUse runs everything at once, for the race detector, and for
// lock orders that do not agree.
func TestConcurrentUse(t *testing.T) {
	l, _ := newLocal()
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for i := range 150 {
				s := adaptertest.NewSocket(fmt.Sprint(w, "-", i))
				l.Add(s, "r0", fmt.Sprint("r", i%5), fmt.Sprint("r", w))
				sel := adapter.Selector{
					Rooms:  []string{"r4", fmt.Sprint("r", w), "r0", "r2"},
					Except: []string{s.ID(), "r3"},
				}
				_ = l.Broadcast(packet, sel, adapter.Flags{})
				_ = l.Broadcast(packet, adapter.Selector{}, adapter.Flags{})
				_ = l.DelSockets(sel, []string{"r0"})
				_, _ = l.Rooms(t.Context())
				_ = l.Wanted(sel)
				l.DelAll(s)
			}
		})
	}
	workers.Wait()
	if rooms, _ := l.Rooms(t.Context()); len(rooms) != 0 || l.Wanted(adapter.Selector{}) {
		t.Errorf("rooms %q are left", rooms)
	}
}
