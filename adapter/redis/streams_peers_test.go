//go:build unix

package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// A request arrives after what was put into the stream before it, though it
// goes another way.
func TestRequestsFollowEntries(t *testing.T) {
	r := runProcess(t)
	a, b := streamNode(t, r.url()), streamNode(t, r.url())
	a.emit(`["first"]`)
	b.wait(`["first"]`)
	for i := range 200 {
		room := fmt.Sprint("room", i)
		if err := a.adapter.AddSockets(adapter.Selector{}, []string{room}); err != nil {
			t.Fatal(err)
		}
		sockets, err := a.adapter.FetchSockets(t.Context(), adapter.Selector{Rooms: []string{room}})
		if err != nil || len(sockets) != 2 {
			t.Fatalf("%d sockets in %s, %v", len(sockets), room, err)
		}
	}
}

func TestPoisonedStream(t *testing.T) {
	r := runProcess(t)
	n := streamNode(t, r.url())
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	pipe := client.Pipeline()
	add := func(fields ...string) {
		pipe.XAdd(t.Context(), &goredis.XAddArgs{Stream: "socket.io", Values: fields})
	}
	bad := 0
	for _, data := range []string{
		"", "{", "[]", "null", "!", "gA==", `{"packet":1,"opts":{}}`, `{"packet":{"data":["x"]}}`, `{"packet":{"data":1},"opts":{}}`,
		`{"packet":{"data":["x"]},"opts":1}`, `{"opts":{"rooms":{}},"packet":{"data":["x"]}}`, "3f////8=", "\xff", "\x80\x04\x95",
		strings.Repeat("k", 1<<20), strings.Repeat("[", 1<<20),
	} {
		add("uid", "peer", "nsp", "/", "type", "3", "data", data)
		bad++
	}
	for _, kind := range []string{"", "x", "3.5", "-", "99999999999999999999"} {
		add("uid", "peer", "nsp", "/", "type", kind, "data", `{"packet":{"data":["x"]},"opts":{}}`)
		bad++
	}
	for _, fields := range [][]string{ // nothing to do, and no fault
		{"x", "y"}, {"nsp", "/unknown", "type", "3"}, {"uid", "peer", "nsp", "/", "type", "13"}, {"uid", "peer", "nsp", "/", "type", "77"},
		{"uid", "peer", "type", "3", "data", "{"}, {"nsp", "", "type", "3"},
	} {
		add(fields...)
	}
	for _, payload := range []string{"", "\x00", "{", "\xdf\xff\xff\xff\xff\xa1a", "\x84\xa4type\x03\xa4data\x01", strings.Repeat("\x91", 1<<20)} {
		pipe.Publish(t.Context(), "socket.io#/#", payload)
		bad++
	}
	add("uid", "emitter", "nsp", "/", "type", "3", "data", `{"packet":{"type":2,"data":["good"],"nsp":"/"},"opts":{"rooms":[],"except":[],"flags":{}}}`)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := n.wait(`["good"]`); len(got) != 1 {
		t.Errorf("received %q", got)
	}
	eventually(t, fmt.Sprintf("%d are counted", bad), func() bool { return n.backend.Stats().Malformed == uint64(bad) })
	if c := n.log.count("message skipped"); c < 1 || c > 5 {
		t.Errorf("%d lines in the log", c)
	}
}

// Entries that repeat others, because their sender could not know that they
// were stored, are skipped; those of senders that do not number theirs are not.
func TestRepeatedEntries(t *testing.T) {
	r := runProcess(t)
	n := streamNode(t, r.url())
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	add := func(uid, seq, event string) {
		t.Helper()
		fields := []string{"uid", uid, "nsp", "/", "type", "3", "data", `{"packet":{"type":2,"data":["` + event + `"]},"opts":{"rooms":[],"except":[]}}`}
		if seq != "" {
			fields = append(fields, "seq", seq)
		}
		if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "socket.io", Values: fields}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		add("a", "1", "a1")
		add("a", "2", "a2")
		add("b", "1", "b1")
		add("c", "", "c")
	}
	for i := range 3000 { // more senders than are remembered
		add(fmt.Sprint("sender", i), "1", "many")
	}
	add("a", "3", "a3")
	n.wait(`["a3"]`)
	if stats := n.backend.StreamStats(); stats.SendersForgotten < 3000-1024 {
		t.Errorf("%+v", stats)
	}
	got := strings.ReplaceAll(strings.Join(n.host.events(), ""), `["many"]`, "")
	if want := `["a1"]["a2"]["b1"]["c"]["c"]["a3"]`; got != want {
		t.Errorf("received %s, want %s", got, want)
	}
}

func TestStreamOptions(t *testing.T) {
	for name, opts := range map[string][]redis.Option{
		"StreamName":                  {redis.WithStreams(redis.StreamName(""))},
		"StreamCount":                 {redis.WithStreams(redis.StreamCount(0))},
		"StreamCount: 65":             {redis.WithStreams(redis.StreamCount(65))},
		"StreamMaxLen":                {redis.WithStreams(redis.StreamMaxLen(0))},
		"StreamReadCount":             {redis.WithStreams(redis.StreamReadCount(0))},
		"StreamBlock":                 {redis.WithStreams(redis.StreamBlock(0))},
		"StreamOffsetWait":            {redis.WithStreams(redis.StreamOffsetWait(0))},
		"StreamRequestWait":           {redis.WithStreams(redis.StreamRequestWait(-1))},
		"StreamMemory":                {redis.WithStreams(redis.StreamMemory(15))},
		"StreamRestoreLimit":          {redis.WithStreams(redis.StreamRestoreLimit(0))},
		"SessionKeyPrefix":            {redis.WithStreams(redis.SessionKeyPrefix(""))},
		"WithSpecificResponseChannel": {redis.WithStreams(), redis.WithSpecificResponseChannel()},
	} {
		err := redis.New("redis://localhost", opts...).Start(server{&logBuffer{}})
		if !errors.Is(err, redis.ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An emitter of the family writes into the stream alone, without numbers, and
// always under one name: what @socket.io/redis-streams-emitter 0.1 writes.
func TestForeignEmitter(t *testing.T) {
	r := runProcess(t)
	n := streamNode(t, r.url())
	client := goredis.NewClient(&goredis.Options{Addr: r.addr()})
	defer client.Close()
	add := func(kind int, data string) {
		t.Helper()
		err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "socket.io", MaxLen: 10_000, Approx: true, Values: []string{
			"uid", "emitter", "nsp", "/", "type", fmt.Sprint(kind), "data", data,
		}}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	to := func(room string) string { return `"opts":{"rooms":["` + room + `"],"except":[],"flags":{}}` }
	add(3, `{"packet":{"type":2,"data":["all"],"nsp":"/"},"opts":{"rooms":[],"except":[],"flags":{}}}`)
	add(4, `{`+to("socket")+`,"rooms":["a","b"]}`)
	add(5, `{`+to("a")+`,"rooms":["b"]}`)
	add(3, `{"packet":{"type":2,"data":["a"],"nsp":"/"},`+to("a")+`}`)
	add(3, `{"packet":{"type":2,"data":["b"],"nsp":"/"},`+to("b")+`}`)
	add(9, `{"packet":["event",1]}`)
	add(6, `{`+to("a")+`,"close":true}`)
	add(3, "gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA==") // ["bin", 1 2 3]
	bin := `["bin",{"_placeholder":true,"num":0}]`
	if got := fmt.Sprint(n.wait(bin)); got != `[["all"] ["a"] server:["event",1] `+bin+`]` {
		t.Errorf("received %s", got)
	}
	n.host.mu.Lock()
	defer n.host.mu.Unlock()
	if n.host.disconnected != 1 {
		t.Errorf("%d disconnected", n.host.disconnected)
	}
	if stats := n.backend.Stats(); stats.Malformed != 0 || stats.Received != 8 {
		t.Errorf("%+v", stats)
	}
}
