package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
)

// question is a call that asks all nodes.
type question struct {
	name string

	// ask makes the call and returns what was answered, sorted. Answers that
	// are made up name the number of the question.
	ask func(ctx context.Context, from *node, number int) ([]string, error)

	// of is what one of the nodes has to answer. others says that a node does
	// not ask itself.
	of     func(node, number int) []string
	others bool
}

// questions returns the calls that the back-end can make, and lets everyone
// answer. Each node has a room of its own from then on.
func (f *fixture) questions() []question {
	f.t.Helper()
	reply := func(name string) func(*adapter.Packet) *adapter.Packet {
		return func(p *adapter.Packet) *adapter.Packet {
			args := decode(p)
			answer := madeAnswer(name, int(args[len(args)-1].(float64)))
			f.made.Store(answer, true)
			return event(answer)
		}
	}
	for id, s := range f.sockets {
		s.Answer(reply(id))
	}
	for i, n := range f.nodes {
		n.host.AnswerEvents(reply(n.id))
		n.Add(f.sockets[fmt.Sprint("a", i)], fmt.Sprint("room", i))
	}
	sockets := func(node, _ int) []string { return []string{fmt.Sprint("a", node), fmt.Sprint("b", node)} }
	all := []struct {
		question
		without bool
	}{
		{question{name: "FetchSockets", of: sockets, ask: askFetch}, f.cannot.NoFetchSockets},
		{question{name: "Rooms", ask: askRooms, of: func(node, _ int) []string {
			return []string{"a", "both", fmt.Sprint("room", node)}
		}}, f.cannot.NoRooms},
		{question{name: "BroadcastWithAck", ask: askClients, of: func(node, number int) []string {
			names := sockets(node, number)
			return []string{madeAnswer(names[0], number), madeAnswer(names[1], number)}
		}}, f.cannot.NoBroadcastWithAck},
		{question{name: "ServerSideEmitWithAck", ask: askNodes, others: true, of: func(node, number int) []string {
			return []string{madeAnswer(f.nodes[node].id, number)}
		}}, f.cannot.NoServerSideEmit || f.cannot.NoServerSideAnswers},
	}
	var can []question
	for _, q := range all {
		if !q.without {
			can = append(can, q.question)
		}
	}
	return can
}

// madeAnswer is what a client or node answers to a question.
func madeAnswer(who string, number int) string { return fmt.Sprintf("%s to %d", who, number) }

func askFetch(ctx context.Context, from *node, _ int) ([]string, error) {
	infos, err := from.FetchSockets(ctx, adapter.Selector{})
	var ids []string
	for _, info := range infos {
		ids = append(ids, info.ID)
	}
	slices.Sort(ids)
	return ids, err
}

func askRooms(ctx context.Context, from *node, _ int) ([]string, error) {
	rooms, err := from.Rooms(ctx)
	slices.Sort(rooms)
	return rooms, err
}

func askClients(ctx context.Context, from *node, number int) ([]string, error) {
	packets, err := from.BroadcastWithAck(ctx, event("question", number), adapter.Selector{}, adapter.Flags{})
	return firstStrings(packets), err
}

func askNodes(ctx context.Context, from *node, number int) ([]string, error) {
	packets, err := from.ServerSideEmitWithAck(ctx, event("question", number))
	return firstStrings(packets), err
}

// answers returns what the nodes alive have to answer to a question of one of
// them.
func (q question) answers(from, number int, alive ...int) []string {
	var want []string
	for _, node := range alive {
		if node != from || !q.others {
			want = append(want, q.of(node, number)...)
		}
	}
	slices.Sort(want)
	return slices.Compact(want)
}

// asks returns a number that no question has had.
func (f *fixture) asks() int {
	f.asked++
	return f.asked
}

// askAll fails unless every one of the nodes alive answers a question of one of
// them, once.
func (f *fixture) askAll(q question, from int, alive ...int) {
	f.t.Helper()
	number := f.asks()
	got, err := q.ask(f.context(), f.nodes[from], number)
	if want := q.answers(from, number, alive...); err != nil || !slices.Equal(got, want) {
		f.t.Errorf("%s: %q, %v, want %q", q.name, got, err, want)
	}
}

// checkMissing fails unless an error says that answers are missing, for a
// cause.
func (f *fixture) checkMissing(what string, err, cause error) {
	f.t.Helper()
	var missing *adapter.MissingAnswersError
	if !errors.As(err, &missing) || !errors.Is(err, cause) || missing.Expected <= missing.Received {
		f.t.Errorf("%s: the error is %v, want a MissingAnswersError for %v", what, err, cause)
	}
}

// testLateAnswers holds that an answer to a call that has ended is no answer to
// the next one.
func testLateAnswers(t *testing.T, f *fixture) {
	questions := f.questions()
	for _, q := range questions {
		switch q.name {
		case "BroadcastWithAck":
			f.askLate(q, "b2", f.sockets["b2"].Hold())
		case "ServerSideEmitWithAck":
			f.askLate(q, f.nodes[2].id, f.nodes[2].host.HoldEvents())
		}
	}
	for _, q := range questions {
		f.abandon(q)
		f.askAll(q, 0, 0, 1, 2)
	}
}

// askLate makes a call that is given up before someone has answered, who does so
// then.
func (f *fixture) askLate(q question, who string, release func()) {
	f.t.Helper()
	defer release()
	ctx, cancel := context.WithCancel(f.context())
	defer cancel()
	var got []string
	var err error
	number, returned := f.asks(), make(chan struct{})
	go func() {
		defer close(returned)
		got, err = q.ask(ctx, f.nodes[0], number)
	}()
	f.await(who+" is asked", func() bool { _, asked := f.made.Load(madeAnswer(who, number)); return asked })
	cancel()
	<-returned
	if all := q.answers(0, number, 0, 1, 2); len(got) >= len(all) {
		f.t.Errorf("%s, given up: %q", q.name, got)
	}
	f.checkMissing(q.name+", given up", err, context.Canceled)
	release()
	f.askAll(q, 0, 0, 1, 2)
}

// abandon makes calls that end before, or while, their answers come.
func (f *fixture) abandon(q question) {
	f.t.Helper()
	for i := range 30 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*20*time.Microsecond)
		number := f.asks()
		got, err := q.ask(ctx, f.nodes[0], number)
		cancel()
		all := q.answers(0, number, 0, 1, 2)
		if err == nil && !slices.Equal(got, all) || slices.ContainsFunc(got, func(a string) bool { return !slices.Contains(all, a) }) {
			f.t.Errorf("%s: %q, %v, want %q or a part", q.name, got, err, all)
		}
	}
}
