package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// otherAnswer is an answer of the wrong type for each type of answer.
var otherAnswer = map[cluster.Type]cluster.Type{
	cluster.FetchAnswer:          cluster.ListRoomsAnswer,
	cluster.ListRoomsAnswer:      cluster.ServerSideEmitAnswer,
	cluster.ServerSideEmitAnswer: cluster.BroadcastCount,
	cluster.BroadcastCount:       cluster.FetchAnswer,
}

// TestAnswers holds that a call ends with the last answer, and what counts as
// one.
func TestAnswers(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, bus := withPeers(t, "x", "y")
				request, returned := start(t, bus, func() (int, error) { return c.call(t.Context(), a) })
				answers := 0
				if c.answer.Type != cluster.BroadcastCount {
					answers = 1
				}

				answer(a, request, "x", c.answer)
				answer(a, request, "x", c.answer) // twice
				foreign := request
				foreign.Sender = "somebody else"
				answer(a, foreign, "y", c.answer)
				foreign = request
				foreign.RequestID = "another"
				answer(a, foreign, "y", c.answer)
				answer(a, request, "y", cluster.Message{Type: otherAnswer[c.answer.Type]})
				answer(a, request, "new", c.answer) // one that came since
				waiting(t, returned)

				answer(a, request, "y", c.answer)
				check(t, <-returned, c.here+3*answers, 0, 0, nil)
				answer(a, request, "y", c.answer) // late
				if n := a.Pending(); n != 0 {
					t.Errorf("%d requests are left", n)
				}
			})
		})
	}
}

// TestDeadline holds that a call returns what has come, when its time is over.
func TestDeadline(t *testing.T) {
	for _, c := range calls {
		for _, tt := range []struct {
			timeout, took time.Duration
		}{{0, 5 * time.Second}, {time.Second, time.Second}} {
			t.Run(c.name+" "+tt.timeout.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, bus := withPeers(t, "x", "y")
					ctx := t.Context()
					if tt.timeout > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, tt.timeout)
						defer cancel()
					}
					begin := time.Now()
					request, returned := start(t, bus, func() (int, error) { return c.call(ctx, a) })
					if request.Timeout != tt.took {
						t.Errorf("Timeout of the request is %v, want %v", request.Timeout, tt.took)
					}
					answer(a, request, "x", c.answer)
					got := <-returned
					if took := time.Since(begin); took != tt.took {
						t.Errorf("took %v, want %v", took, tt.took)
					}
					if c.answer.Type == cluster.BroadcastCount {
						check(t, got, 1, 2, 1, context.DeadlineExceeded)
					} else {
						check(t, got, c.here+1, 2, 1, context.DeadlineExceeded)
					}
					if n := a.Pending(); n != 0 {
						t.Errorf("%d requests are left", n)
					}
				})
			})
		}
	}
}

// TestAcks holds what the acknowledgements of other nodes count for.
func TestAcks(t *testing.T) {
	count := func(n int) cluster.Message { return cluster.Message{Type: cluster.BroadcastCount, Count: n} }
	ack := cluster.Message{Type: cluster.BroadcastAnswer, Packet: packet}
	nth := func(n int) cluster.Message {
		return cluster.Message{Type: cluster.BroadcastAnswer, Packet: packet, Count: n}
	}
	type step struct {
		sender string
		m      cluster.Message
	}
	tests := []struct {
		name  string
		nodes int // counted by the bus; 0: the peers are x and y
		steps []step
		n     int // answers, with that of the own client; 0: the call goes on
	}{
		{"none elsewhere", 0, []step{{"x", count(0)}, {"y", count(0)}}, 1},
		{"all answer", 0, []step{{"x", count(2)}, {"x", ack}, {"y", count(1)}, {"x", ack}, {"y", ack}}, 4},
		{"count twice", 0, []step{{"x", count(1)}, {"x", count(1)}, {"x", ack}, {"y", count(0)}}, 2},
		{"too many answers", 0, []step{{"x", count(1)}, {"x", ack}, {"x", ack}, {"y", count(1)}}, 0},
		{"answer twice", 0, []step{{"x", count(2)}, {"x", nth(1)}, {"x", nth(1)}, {"y", count(0)}}, 0},
		{"answers twice", 0, []step{{"x", count(2)}, {"x", nth(1)}, {"x", nth(2)}, {"x", nth(1)}, {"y", count(1)}, {"x", nth(2)}, {"y", nth(1)}}, 4},
		{"answer lost", 0, []step{{"x", count(2)}, {"x", nth(2)}, {"x", nth(2)}, {"y", count(0)}}, 0},
		{"unnamed, of equal number", 3, []step{{"", count(1)}, {"", count(1)}, {"", nth(1)}, {"", nth(1)}}, 3},
		{"answer before count", 0, []step{{"x", ack}, {"x", count(1)}, {"y", count(0)}}, 0},
		{"empty answer", 0, []step{{"x", count(1)}, {"x", cluster.Message{Type: cluster.BroadcastAnswer}}, {"y", count(0)}}, 0},
		{"negative count", 0, []step{{"x", count(-1)}, {"y", count(0)}}, 0},
		{"huge count", 0, []step{{"x", count(0)}, {"y", count(1<<24 + 1)}}, 0},
		{"bad counts, then good ones", 0, []step{{"x", count(-1)}, {"y", count(1<<24 + 1)}, {"x", count(0)}, {"y", count(0)}}, 1},
		{"node missing", 0, []step{{"x", count(1)}, {"x", ack}}, 0},
		{"node leaves", 0, []step{{"x", count(1)}, {"x", ack}, {"y", cluster.Message{Type: cluster.Goodbye}}}, 2},
		{"unnamed", 3, []step{{"", count(1)}, {"", count(1)}, {"", ack}, {"", ack}}, 3},
		{"unnamed, one missing", 3, []step{{"", count(1)}, {"", ack}, {"", ack}}, 0},
		{"alone", 1, nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, bus := withPeers(t, "x", "y")
				if tt.nodes > 0 {
					bus = &scripted{}
					a, _, _ = newNode(t, counted{bus, tt.nodes, nil})
				}
				request, returned := start(t, bus, func() (int, error) {
					packets, err := a.BroadcastWithAck(t.Context(), packet, all, adapter.Flags{})
					return len(packets), err
				})
				for _, s := range tt.steps {
					waiting(t, returned)
					answer(a, request, s.sender, s.m)
				}
				if tt.n == 0 {
					waiting(t, returned)
					<-returned
					return
				}
				check(t, <-returned, tt.n, 0, 0, nil)
			})
		})
	}
}

// TestAcksOfStrangers holds that names which are made up take no memory.
func TestAcksOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &scripted{}
		a, _, _ := newNode(t, counted{bus, 2, nil})
		request, returned := start(t, bus, func() (int, error) {
			packets, err := a.BroadcastWithAck(t.Context(), packet, all, adapter.Flags{})
			return len(packets), err
		})
		for i := range 1000 {
			answer(a, request, fmt.Sprint("stranger", i), cluster.Message{Type: cluster.BroadcastAnswer, Packet: packet})
			answer(a, request, fmt.Sprint("stranger", i), cluster.Message{Type: cluster.BroadcastCount, Count: -1})
			answer(a, request, fmt.Sprint("stranger", i), cluster.Message{Type: cluster.FetchAnswer})
		}
		waiting(t, returned)
		if n := a.Known(); n != 0 {
			t.Errorf("%d nodes are known", n)
		}
		answer(a, request, "x", cluster.Message{Type: cluster.BroadcastCount, Count: 0})
		check(t, <-returned, 1, 0, 0, nil)
	})
}

// TestAcksOfNodeThatLeaves holds that clients of such a node are missing, and
// not waited for.
func TestAcksOfNodeThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, bus := withPeers(t, "x")
		request, returned := start(t, bus, func() (int, error) {
			packets, err := a.BroadcastWithAck(t.Context(), packet, all, adapter.Flags{})
			return len(packets), err
		})
		answer(a, request, "x", cluster.Message{Type: cluster.BroadcastCount, Count: 3})
		answer(a, request, "x", cluster.Message{Type: cluster.BroadcastAnswer, Packet: packet})
		waiting(t, returned)
		answer(a, request, "x", cluster.Message{Type: cluster.Goodbye})
		check(t, <-returned, 2, 4, 2, adapter.ErrNoAnswer)
	})
}

// TestCounter holds that a bus that counts says how many answers to expect.
func TestCounter(t *testing.T) {
	for _, c := range calls[:3] {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := &scripted{}
				a, _, _ := newNode(t, counted{bus, 3, nil})
				request, returned := start(t, bus, func() (int, error) { return c.call(t.Context(), a) })
				answer(a, request, "", c.answer)
				waiting(t, returned)
				other := c.answer
				if other.Type == cluster.FetchAnswer {
					answer(a, request, "", c.answer) // twice
					waiting(t, returned)
					other.Sockets = []adapter.SocketInfo{other.Sockets[0], {ID: "y"}}
				}
				answer(a, request, "", other)
				check(t, <-returned, c.here+2, 0, 0, nil)
				if n, err := a.ServerCount(t.Context()); n != 3 || err != nil {
					t.Errorf("ServerCount = %d, %v", n, err)
				}
			})
		})
		t.Run(c.name+", count fails", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := &scripted{}
				a, _, _ := newNode(t, counted{bus, 0, errBus})
				request, returned := start(t, bus, func() (int, error) { return c.call(t.Context(), a) })
				answer(a, request, "x", c.answer)
				waiting(t, returned)
				check(t, <-returned, c.here+1, 2, 1, errBus)
			})
		})
	}
}

// TestPublishFails holds that what is here is done, and that nobody waits for
// answers to a question that was not put.
func TestPublishFails(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, bus := withPeers(t, "x")
				bus.err = errBus
				begin := time.Now()
				n, err := c.call(t.Context(), a)
				if c.answer.Type == cluster.BroadcastCount {
					check(t, result{n, err}, 1, 2, 1, errBus)
				} else {
					check(t, result{n, err}, c.here, 1, 0, errBus)
				}
				if took := time.Since(begin); took != 0 {
					t.Errorf("took %v", took)
				}
			})
		})
	}
	a, bus := withPeers(t)
	bus.err = errBus
	if err := a.Broadcast(packet, all, adapter.Flags{}); !errors.Is(err, errBus) {
		t.Errorf("Broadcast: %v", err)
	}
}

// TestCloseWhilePending holds that Close ends calls under way, with what has
// come.
func TestCloseWhilePending(t *testing.T) {
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, bus := withPeers(t, "x", "y")
				request, returned := start(t, bus, func() (int, error) { return c.call(t.Context(), a) })
				answer(a, request, "x", c.answer)
				begin := time.Now()
				if err := a.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				got := <-returned
				if !errors.Is(got.err, adapter.ErrClosed) || time.Since(begin) != 0 {
					t.Errorf("returned %v after %v", got.err, time.Since(begin))
				}
				bus.one(t, cluster.Goodbye)
				answer(a, request, "y", c.answer)
				if n := a.Pending(); n != 0 || bus.closed != 1 {
					t.Errorf("%d requests are left, the bus was closed %d times", n, bus.closed)
				}
				if _, err := c.call(t.Context(), a); !errors.Is(err, adapter.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
			})
		})
	}
}
