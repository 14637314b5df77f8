package adaptertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// testDeadNode holds that a node that has crashed costs no more than its own
// answers, and these for as long as it is counted.
func testDeadNode(t *testing.T, f *fixture, faults Faults) {
	questions := f.questions()
	f.kill(f.nodes[2], faults)
	for _, q := range questions {
		_ = f.askWithoutThird(q) // it may be known already that the node is dead
	}
	f.surviveThird(questions)
}

// testHangingNode holds that a node that hangs is missing, in the words of the
// contract, from the calls of others.
func testHangingNode(t *testing.T, f *fixture, faults Faults) {
	questions := f.questions()
	n := f.nodes[2]
	t.Cleanup(func() { f.kill(n, faults) })
	faults.Hang(n.id)
	for _, q := range questions {
		if err := f.askWithoutThird(q); err == nil {
			f.expectGone(q)
		}
	}
	f.kill(n, faults)
	f.surviveThird(questions)
}

func (f *fixture) kill(n *node, faults Faults) {
	faults.Kill(n.id)
	n.killed = true
}

// expectGone fails if the third node is counted, though a call did not miss it.
func (f *fixture) expectGone(q question) {
	f.t.Helper()
	if f.cannot.NoServerCount {
		return
	}
	if count, err := f.nodes[0].ServerCount(f.context()); err != nil || count != 2 {
		f.t.Errorf("%s did not miss a node, and there are %d, %v", q.name, count, err)
	}
}

// askWithoutThird makes a call that the third node does not answer, with
// deadlines of growing length until the second has answered in time. It returns
// the error that says so.
func (f *fixture) askWithoutThird(q question) error {
	f.t.Helper()
	for timeout := 100 * time.Millisecond; ; timeout *= 3 {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		begin, number := time.Now(), f.asks()
		got, err := q.ask(ctx, f.nodes[0], number)
		cancel()
		if took := time.Since(begin); took > timeout+patience {
			f.t.Errorf("%s took %v, with a deadline of %v", q.name, took, timeout)
		}
		want := q.answers(0, number, 0, 1)
		if err != nil {
			f.checkMissing(q.name, err, context.DeadlineExceeded)
		}
		if slices.Equal(got, want) {
			return err
		}
		if err == nil || timeout > patience {
			f.t.Fatalf("%s: %q, %v, want %q", q.name, got, err, want)
		}
	}
}

// surviveThird holds that the other two nodes have all that they need when the
// third is gone.
func (f *fixture) surviveThird(questions []question) {
	f.t.Helper()
	delete(f.sockets, "a2")
	delete(f.sockets, "b2")
	if f.cannot.NoServerCount {
		for _, q := range questions {
			f.await(q.name+" misses nobody any more", func() bool { return f.askWithoutThird(q) == nil })
		}
	} else {
		f.awaitCount(2, f.nodes[:2]...)
	}
	for _, q := range questions {
		f.askAll(q, 0, 0, 1)
		f.askAll(q, 1, 0, 1)
	}
	f.settle(f.nodes[0])
	f.settle(f.nodes[1])
}

// testRepeatedAnswers holds that each node, and each client, is heard once: that
// its answer comes again neither adds to the answers nor stands for another's.
func testRepeatedAnswers(t *testing.T, f *fixture, faults Faults) {
	questions := f.questions()
	faults.RepeatAnswers()
	for range 20 {
		for _, q := range questions {
			f.askAll(q, 0, 0, 1, 2)
		}
	}
}

// testPoison holds that messages that nobody understands are counted, and stop
// or change nothing else.
func testPoison(t *testing.T, f *fixture, faults Faults) {
	questions := f.questions()
	const rounds = 30
	poisoned := 0
	for i := range rounds {
		if i%10 == 5 {
			poisoned += faults.Poison()
		}
		f.must(f.nodes[i%3].Broadcast(event("good", i%3, i), adapter.Selector{}, adapter.Flags{}))
	}
	for _, n := range f.nodes {
		f.settle(n)
		f.await(fmt.Sprintf("%s counts %d malformed messages", n.id, poisoned), func() bool {
			return n.backend.Stats().Malformed >= uint64(poisoned)
		})
	}
	for id, s := range f.sockets {
		next, count := []int{0, 1, 2}, 0
		for _, p := range f.received(id) {
			args := decode(p)
			if args[0] != "good" {
				t.Errorf("%s received %s", id, p.Args)
				continue
			}
			sender, i := int(args[1].(float64)), int(args[2].(float64))
			if i != next[sender] {
				t.Errorf("%s received event %d of node %d, want %d", id, i, sender, next[sender])
			}
			next[sender], count = i+3, count+1
		}
		if count != rounds {
			t.Errorf("%s received %d events, want %d", id, count, rounds)
		}
		if rooms := s.Membership().Rooms(); !slices.Contains(rooms, "both") {
			t.Errorf("%s is in %q", id, rooms)
		}
		if gone, _ := s.Disconnected(); gone {
			t.Errorf("%s is disconnected", id)
		}
	}
	for _, q := range questions {
		f.askAll(q, 0, 0, 1, 2)
	}
}
