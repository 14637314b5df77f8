//go:build unix

package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// answered is a call whose other nodes are two that the test speaks for, and
// what it returns of them.
type answered func(context.Context, adapter.Adapter) ([]string, error)

func fetching(ctx context.Context, a adapter.Adapter) (ids []string, err error) {
	sockets, err := a.FetchSockets(ctx, adapter.Selector{})
	for _, s := range sockets[1:] {
		ids = append(ids, s.ID+string(s.Data))
	}
	return ids, err
}

func listing(ctx context.Context, a adapter.Adapter) ([]string, error) {
	rooms, err := a.Rooms(ctx)
	slices.Sort(rooms)
	return rooms, err
}

func asking(ctx context.Context, a adapter.Adapter) ([]string, error) {
	packets, err := a.ServerSideEmitWithAck(ctx, &adapter.Packet{Args: []byte(`["ask"]`)})
	return argumentsOf(packets), err
}

func askingClients(ctx context.Context, a adapter.Adapter) ([]string, error) {
	packets, err := a.BroadcastWithAck(ctx, &adapter.Packet{Args: []byte(`["ask"]`)}, adapter.Selector{}, adapter.Flags{})
	return argumentsOf(packets)[1:], err
}

func argumentsOf(packets []*adapter.Packet) (all []string) {
	for _, p := range packets {
		all = append(all, string(p.Args))
	}
	return all
}

// TestRepeatedAnswers holds that an answer which comes twice does not stand for
// that of another node, as far as answers can be told apart: those of Node do
// not say who gives them.
func TestRepeatedAnswers(t *testing.T) {
	// by lets a node say who it is, as those of Roomspan do.
	by := func(uid, answer string) string { return strings.TrimSuffix(answer, "}") + `,"uid":"` + uid + `"}` }
	const (
		a     = `{"requestId":"ID","sockets":[{"id":"a","handshake":{"issued":1},"rooms":["a"],"data":1}]}`
		moved = `{"requestId":"ID","sockets":[{"id":"a","handshake":{"issued":2},"rooms":["a"],"data":2}]}`
		bc    = `{"requestId":"ID","sockets":[{"id":"b","handshake":{},"rooms":["b"],"data":1},{"id":"c","rooms":["c"],"data":1}]}`
		abc   = `{"requestId":"ID","sockets":[{"id":"a","handshake":{},"rooms":["a"],"data":3},{"id":"b","rooms":["b"],"data":3},{"id":"c","data":3}]}`
		none  = `{"requestId":"ID","sockets":[]}`
		rooms = `{"requestId":"ID","rooms":["r"]}`
		event = `{"type":6,"requestId":"ID","data":1}`
		count = `{"type":8,"requestId":"ID","clientCount":1}`
		ack   = `{"type":9,"requestId":"ID","packet":7}`
	)
	for _, tt := range []struct {
		name    string
		call    answered
		answers []string
		want    string
		missing string // what the error says of it
	}{
		{"sockets", fetching, []string{a, bc}, "[a1 b1 c1]", ""},
		{"sockets, one twice", fetching, []string{a, a}, "[a1]", "1 of 2"},
		{"sockets, several twice", fetching, []string{bc, bc, bc}, "[b1 c1]", "1 of 2"},
		{"sockets, one twice, then the other", fetching, []string{bc, bc, a}, "[b1 c1 a1]", ""},
		{"sockets, one without and one with a name", fetching, []string{bc, by("x", a)}, "[b1 c1 a1]", ""},
		{"sockets, one with a name twice", fetching, []string{by("x", a), by("x", a)}, "[a1]", "1 of 2"},
		{"no sockets", fetching, []string{none, none}, "[]", ""},
		{"no sockets, two with names", fetching, []string{by("x", none), by("y", none)}, "[]", ""},
		{"no sockets, one with a name twice", fetching, []string{by("x", none), by("x", none)}, "[]", "1 of 2"},
		{"a socket that moved meanwhile", fetching, []string{a, moved}, "[a1]", ""},
		{"sockets that are known in part", fetching, []string{a, abc}, "[a1 b3 c3]", ""},
		{"rooms", listing, []string{rooms, rooms}, "[r]", ""},
		{"rooms, one with a name twice", listing, []string{by("x", rooms), by("x", rooms)}, "[r]", "1 of 2"},
		{"event", asking, []string{event, event}, "[[1] [1]]", ""},
		{"event, one with a name twice", asking, []string{by("x", event), by("x", event)}, "[[1]]", "1 of 2"},
		{"clients", askingClients, []string{count, ack, by("x", count), by("x", ack)}, "[[7] [7]]", ""},
		{"clients, counted twice", askingClients, []string{by("x", count), by("x", count), by("x", ack)}, "[[7]]", "2 of 3"},
		{"clients, acknowledged twice", askingClients, []string{by("x", count), by("y", count), by("x", ack), by("x", ack)}, "[[7]]", "2 of 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runEmbedded(t)
			n := start(t, redis.New(r.url()), nodeOptions{}).ready()
			client := goredis.NewClient(&goredis.Options{Addr: r.Addr()})
			defer client.Close()
			var others [2]*goredis.PubSub // two nodes that are counted
			for i := range others {
				others[i] = client.Subscribe(t.Context(), requests)
				defer others[i].Close()
				if _, err := others[i].Receive(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			got, err := answerCall(t, n, tt.call, others[0], func(answer string) {
				if err := client.Publish(t.Context(), responses, answer).Err(); err != nil {
					t.Fatal(err)
				}
			}, tt.answers, tt.missing != "")
			if fmt.Sprint(got) != tt.want {
				t.Errorf("got %v, want %s", got, tt.want)
			}
			var missing *adapter.MissingAnswersError
			switch {
			case tt.missing == "" && err != nil:
				t.Error(err)
			case tt.missing != "" && (!errors.As(err, &missing) || fmt.Sprintf("%d of %d", missing.Received, missing.Expected) != tt.missing):
				t.Errorf("missing %s, the error is %v", tt.missing, err)
			}
		})
	}
}

// answerCall makes a call and publishes answers to it. It ends the call when
// they have been handled, if the call would wait for more.
func answerCall(t *testing.T, n *node, call answered, asked *goredis.PubSub, publish func(string), answers []string, cut bool) (got []string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err = call(ctx, n.adapter)
	}()
	m, failed := asked.ReceiveMessage(ctx)
	if failed != nil {
		t.Fatal(failed)
	}
	id := requestID(t, m.Payload)
	for _, answer := range answers {
		publish(strings.ReplaceAll(answer, "ID", id))
	}
	// It is handled after the answers, and is none of them.
	publish(`{"type":8,"requestId":"` + id + `","clientCount":-1}`)
	eventually(t, "all are handled", func() bool { return n.backend.Stats().Malformed == 1 })
	if cut {
		cancel()
	}
	<-done
	return got, err
}

// requestID finds the id in a request, be it JSON or msgpack.
func requestID(t *testing.T, request string) string {
	t.Helper()
	if strings.HasPrefix(request, "{") {
		var fields struct{ RequestID string }
		if err := json.Unmarshal([]byte(request), &fields); err != nil {
			t.Fatal(err)
		}
		return fields.RequestID
	}
	_, rest, ok := strings.Cut(request, "requestId")
	if !ok || rest[0]&0xe0 != 0xa0 && rest[0] != 0xd9 {
		t.Fatalf("no id in %q", request)
	}
	if rest[0] == 0xd9 {
		return rest[2 : 2+rest[1]]
	}
	return rest[1 : 1+rest[0]&0x1f]
}
