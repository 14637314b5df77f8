package pysocketio_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

func event(args string) *adapter.Packet { return &adapter.Packet{Args: []byte(args)} }

func rooms(names ...string) adapter.Selector { return adapter.Selector{Rooms: names} }

func connect(t *testing.T, opts ...pysocketio.Option) (*node, *peer) {
	t.Helper()
	r := miniredis.RunT(t)
	p := newPeer(t, r)
	return start(t, pysocketio.New("redis://"+r.Addr(), opts...)), p
}

const tail = `"namespace": "/", "host_id": "0123456789abcdef0123456789abcdef"}`

func TestEventsOfPython(t *testing.T) {
	n, p := connect(t)
	var want []string
	for _, tt := range []struct{ message, want string }{
		{`"event": "hello", "data": ["world"], "binary": false, "room": null, "skip_sid": null, "callback": null`, `["hello","world"]`},
		{`"event": "h\u00e9", "data": [1, [2, 3]], "binary": false, "room": "room", "skip_sid": "` + theirSID + `", "callback": null`, `["hé",1,[2,3]]`},
		{`"event": "list", "data": [], "room": ["other", "room"], "skip_sid": []`, `["list"]`},
		{`"event": "sid", "data": [null], "room": "` + sid + `"`, `["sid"]`},
		{`"event": "skipped", "data": [], "skip_sid": "` + sid + `"`, ""},
		{`"event": "skipped", "data": [], "skip_sid": ["x", "` + sid + `"]`, ""},
		{`"event": "other", "data": [], "room": "other"`, ""},
		{`"event": "number", "data": [], "room": 5`, ""},
		{`"event": "bin", "data": [[{"a": {"_placeholder": true, "num": 0}}], "AQI="], "binary": true`, `["bin",{"a":{"_placeholder":true,"num":0}}]`},
		{`"event": "old", "data": {"a": "b"}`, `["old",{"a":"b"}]`},
	} {
		p.say(`{"method": "emit", ` + tt.message + `, ` + tail)
		if tt.want != "" {
			want = append(want, tt.want)
		}
	}
	p.say(`{"method": "emit", "event": "elsewhere", "data": [], "namespace": "/other"}`)
	p.say(`{"method": "emit", "event": "minimal"}`)
	n.await(append(want, `["minimal"]`)...)
	received := n.socket.Received()
	if a := received[len(received)-3].Packet.Attachments; len(a) != 1 || string(a[0]) != "\x01\x02" {
		t.Errorf("attachments %q", a)
	}
	if s := n.backend.Stats(); s.Malformed != 0 || s.Received != 11 {
		t.Errorf("%+v", s)
	}
}

func TestRoomsAndDisconnectOfPython(t *testing.T) {
	n, p := connect(t)
	other := adaptertest.NewSocket(theirSID[:19] + "C")
	n.Add(other, sid) // in the room of the first
	in := func(room string) func() bool {
		return func() bool { return slices.Contains(n.socket.Membership().Rooms(), room) }
	}
	p.say(`{"method": "enter_room", "sid": "` + sid + `", "room": "new", ` + tail)
	eventually(t, "the socket is in the room", in("new"))
	if slices.Contains(other.Membership().Rooms(), "new") {
		t.Error("another socket is in the room")
	}
	p.say(`{"method": "enter_room", "sid": "` + sid + `", "room": 5, ` + tail)
	eventually(t, "the socket is in the room", in("5"))
	p.say(`{"method": "leave_room", "sid": "` + sid + `", "room": "new", ` + tail)
	eventually(t, "the socket has left", func() bool { return !in("new")() })
	p.say(`{"method": "close_room", "room": "room", ` + tail)
	eventually(t, "the room is empty", func() bool { return !in("room")() })
	p.say(`{"method": "disconnect", "sid": "` + theirSID + `", ` + tail)
	p.say(`{"method": "disconnect", "sid": "` + sid + `", "namespace": "/"}`) // without host_id, as 5.7
	eventually(t, "the socket is disconnected", func() bool { gone, _ := n.socket.Disconnected(); return gone })
	if gone, _ := other.Disconnected(); gone {
		t.Error("another socket is disconnected")
	}
}

func TestCallbackOfPython(t *testing.T) {
	n, p := connect(t)
	n.socket.Answer(func(q *adapter.Packet) *adapter.Packet {
		if strings.Contains(string(q.Args), "binary") {
			return &adapter.Packet{Args: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}}
		}
		return event(`["pong",2]`)
	})
	ask := `{"method": "emit", "event": "%s", "data": [1], "room": %[2]s, "callback": [%[2]s, "/", 7], ` + tail
	p.say(fmt.Sprintf(ask, "q", `"nobody"`))
	p.say(`{"method": "emit", "event": "q", "data": [], "callback": ["room", "/", 7]}`) // of nobody
	p.say(`{"method": "emit", "event": "q", "data": [], "callback": ["room"], ` + tail) // no callback, as in Python
	p.say(fmt.Sprintf(ask, "binary", `"room"`))                                         // the answer cannot be said
	for _, room := range []string{`"` + sid + `"`, `["x","room"]`, "null"} {
		p.say(fmt.Sprintf(ask, "q", room))
		p.expect(`{"method": "callback", "host_id": "0123456789abcdef0123456789abcdef", "sid": ` + room + `, "namespace": "/", "id": 7, "args": ["pong",2]}`)
	}
	eventually(t, "all is counted", func() bool {
		s := n.backend.Stats()
		return s.Dropped == 1 && s.Published == 3
	})
}

func TestWhatPythonHears(t *testing.T) {
	n, p := connect(t)
	emit := `{"method": "emit", "event": "%s", "data": [1], "binary": false, "namespace": "/", "room": %s, "skip_sid": %s, "callback": null, "roomspan": {}, "host_id": "HOST"}`
	method := `{"method": "%s", %s"namespace": "/", "host_id": "HOST"}`
	long := "customer-support-eu1" // as long as an id
	for _, tt := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"emit", func() error { return n.Broadcast(event(`["a",1]`), adapter.Selector{}, adapter.Flags{}) },
			[]string{fmt.Sprintf(emit, "a", "null", "null")}},
		{"emit to rooms but a socket", func() error {
			return n.Broadcast(event(`["b",1]`), adapter.Selector{Rooms: []string{"r", "s"}, Except: []string{sid}}, adapter.Flags{})
		}, []string{fmt.Sprintf(emit, "b", `["r", "s"]`, `"`+sid+`"`)}},
		{"emit but a room", func() error {
			return n.Broadcast(event(`["c",1]`), adapter.Selector{Except: []string{sid, "muted"}}, adapter.Flags{})
		}, nil},
		{"local", func() error { return n.Broadcast(event(`["d",1]`), adapter.Selector{Local: true}, adapter.Flags{}) }, nil},
		{"join of a socket", func() error { return n.AddSockets(rooms(theirSID, sid), []string{"r", "s"}) }, []string{
			fmt.Sprintf(method, "enter_room", `"sid": "`+theirSID+`", "room": "r", `), fmt.Sprintf(method, "enter_room", `"sid": "`+theirSID+`", "room": "s", `)}},
		{"join of a room", func() error { return n.AddSockets(rooms("short"), []string{"r"}) }, nil},
		{"join but a room", func() error {
			return n.AddSockets(adapter.Selector{Rooms: []string{theirSID}, Except: []string{"muted"}}, []string{"r"})
		}, nil},
		{"join but the socket", func() error {
			return n.AddSockets(adapter.Selector{Rooms: []string{theirSID}, Except: []string{theirSID}}, []string{"r"})
		}, nil},
		{"join here", func() error {
			return n.AddSockets(adapter.Selector{Rooms: []string{theirSID}, Local: true}, []string{"r"})
		}, nil},
		{"leave of a socket", func() error { return n.DelSockets(rooms(theirSID), []string{"r"}) },
			[]string{fmt.Sprintf(method, "leave_room", `"sid": "`+theirSID+`", "room": "r", `)}},
		{"all of a room leave it", func() error { return n.DelSockets(rooms("r", "s"), []string{"t", "r"}) },
			[]string{fmt.Sprintf(method, "close_room", `"room": "r", `)}},
		{"all leave", func() error { return n.DelSockets(adapter.Selector{}, []string{"r"}) },
			[]string{fmt.Sprintf(method, "close_room", `"room": "r", `)}},
		{"all but one leave", func() error { return n.DelSockets(adapter.Selector{Except: []string{theirSID}}, []string{"r"}) }, nil},
		{"all here leave", func() error { return n.DelSockets(adapter.Selector{Local: true}, []string{"r"}) }, nil},
		{"disconnect", func() error { return n.DisconnectSockets(rooms(theirSID, "room of many", long), true) }, []string{
			fmt.Sprintf(method, "disconnect", `"sid": "`+theirSID+`", `), fmt.Sprintf(method, "disconnect", `"sid": "`+long+`", `)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.t = t
			if err := tt.do(); err != nil {
				t.Fatal(err)
			}
			if err := n.Broadcast(event(`["end",1]`), rooms("end"), adapter.Flags{}); err != nil {
				t.Fatal(err)
			}
			for _, want := range append(tt.want, fmt.Sprintf(emit, "end", `"end"`, "null")) {
				p.expect(want)
			}
		})
	}
	if s := n.backend.Stats(); s.Dropped != 1 {
		t.Errorf("%+v: the event that excepts a room is not counted", s)
	}
}

// TestAskPython holds what the answers of clients of Python nodes are worth.
func TestAskPython(t *testing.T) {
	n, p := connect(t)
	n.socket.Answer(func(*adapter.Packet) *adapter.Packet { return event(`["here"]`) })
	answer := func(times int) {
		_, m := p.hear()
		ref := m["callback"].([]any)
		for i := range times {
			p.say(fmt.Sprintf(`{"method": "callback", "host_id": "%s", "sid": "x", "namespace": "/", "id": %v, "args": ["there", %d]}`, m["host_id"], ref[2], i))
		}
	}
	type result struct {
		packets []*adapter.Packet
		err     error
	}
	ask := func(timeout time.Duration, sel adapter.Selector) <-chan result {
		done := make(chan result, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			packets, err := n.BroadcastWithAck(ctx, event(`["q"]`), sel, adapter.Flags{})
			done <- result{packets, err}
		}()
		return done
	}
	// One socket: the first answer is the last.
	done := ask(patience, rooms(theirSID))
	answer(1)
	if r := <-done; r.err != nil || len(r.packets) != 1 || string(r.packets[0].Args) != `["there",0]` {
		t.Errorf("one socket: %d answers, %v", len(r.packets), r.err)
	}
	// A room: nobody knows how many there are.
	done = ask(time.Second, rooms("room"))
	answer(3)
	r := <-done
	missing := (*adapter.MissingAnswersError)(nil)
	if len(r.packets) != 4 || !errors.As(r.err, &missing) || missing.Received != 4 || missing.Expected != 5 || !errors.Is(r.err, context.DeadlineExceeded) {
		t.Errorf("a room: %d answers, %v", len(r.packets), r.err)
	}
	// A socket of this node needs nobody else.
	if r := <-ask(patience, rooms(sid)); r.err != nil || len(r.packets) != 1 {
		t.Errorf("own socket: %d answers, %v", len(r.packets), r.err)
	}
	// Late, unknown and doubled answers do no harm.
	p.say(`{"method": "callback", "host_id": "roomspan-x", "id": 1, "args": []}`)
	done = ask(patience, rooms("room"))
	p.hear()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if r := <-done; !errors.Is(r.err, adapter.ErrClosed) {
		t.Errorf("closed meanwhile: %v", r.err)
	}
}

func TestPythonNodesCount(t *testing.T) {
	r := miniredis.RunT(t)
	n := start(t, pysocketio.New("redis://"+r.Addr()))
	if got, err := n.ServerCount(t.Context()); got != 1 || err != nil {
		t.Errorf("%d servers, %v", got, err)
	}
	// Without Python nodes a call ends with the last answer.
	n.socket.Answer(func(*adapter.Packet) *adapter.Packet { return event(`["here"]`) })
	if packets, err := n.BroadcastWithAck(t.Context(), event(`["q"]`), rooms("room"), adapter.Flags{}); err != nil || len(packets) != 1 {
		t.Errorf("%d answers, %v", len(packets), err)
	}
	newPeer(t, r)
	if got, err := n.ServerCount(t.Context()); got != 2 || err != nil {
		t.Errorf("%d servers, %v", got, err)
	}
	// Queries ask nodes of Roomspan alone.
	if infos, err := n.FetchSockets(t.Context(), adapter.Selector{}); err != nil || len(infos) != 1 {
		t.Errorf("%d sockets, %v", len(infos), err)
	}
}

func TestPoisonedBus(t *testing.T) {
	n, p := connect(t, pysocketio.WithMaxMessage(1<<20))
	bad := []string{
		"", "x", "{", "[]", "null", "1", `{}`, `{"method": 5}`, `{"method": "unknown"}`, `{"method": "emit"}`, "\x80\x04N.", "\xff\xfe",
		`{"method": "emit", "event": 5}`, `{"method": "emit", "event": "disconnect", "data": []}`, `{"method": "emit", "event": "a", "room": []}`,
		`{"method": "emit", "event": "a", "room": {}}`, `{"method": "emit", "event": "a", "skip_sid": [true]}`, `{"method": "emit", "event": "a", "room": [[]]}`,
		`{"method": "emit", "event": "a", "binary": true, "data": "x"}`, `{"method": "emit", "event": "a", "binary": true, "data": [[], "!"]}`,
		`{"method": "emit", "event": "a", "binary": true, "data": [[{"_placeholder": true, "num": 3}], "AQI="]}`, `{"method": "emit", "event": "a", "binary": 1}`,
		`{"method": "emit", "event": "a", "callback": "x"}`, `{"method": "emit", "event": "a", "data": [NaN]}`, `{"method": "emit", "event": "a", "host_id": []}`,
		`{"method": "close_room"}`, `{"method": "close_room", "room": null}`, `{"method": "close_room", "room": ["a", "b"]}`,
		`{"method": "disconnect"}`, `{"method": "disconnect", "sid": null}`, `{"method": "enter_room", "sid": "` + sid + `"}`, `{"method": "leave_room", "room": "room"}`,
		`{"method": "emit", "event": "a", "data": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`,
		`{"method": "emit", "event": "` + strings.Repeat("a", 1<<20) + `"}`,
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, 1+rnd.IntN(64))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		bad = append(bad, string(b))
	}
	for _, payload := range bad {
		p.say(payload)
		if err := p.client.Publish(t.Context(), "socketio:roomspan", payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
	p.say(`{"method": "emit", "event": "good", "data": []}`)
	n.await(`["good"]`)
	s := n.backend.Stats()
	if want := uint64(2 * len(bad)); s.Malformed != want || !s.Connected {
		t.Errorf("%+v, want %d malformed", s, want)
	}
	if c := n.log.count("message skipped"); c < 1 || c > 30 {
		t.Errorf("%d lines in the log", c)
	}
	if got := n.socket.Membership().Rooms(); !slices.Equal(got, []string{sid, "room"}) {
		t.Errorf("the socket is in %q", got)
	}
}

// The poison of an exception: pickled by Python, {"method": "emit", "event":
// "pickled", "data": "x"} and one that would run code.
const (
	goodPickle = "\x80\x04\x95\x2a\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x06method\x94\x8c\x04emit\x94\x8c\x05event\x94\x8c\x07pickled\x94\x8c\x04data\x94\x8c\x01x\x94u."
	evilPickle = "\x80\x04}(\x8c\x06method\x8c\x04emit\x8c\x05event\x8c\x04evil\x8c\x04data\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85Ru."
)

func TestPickle(t *testing.T) {
	for name, opts := range map[string][]pysocketio.Option{"off": nil, "on": {pysocketio.WithPickle()}} {
		t.Run(name, func(t *testing.T) {
			n, p := connect(t, opts...)
			p.say(goodPickle)
			p.say(evilPickle)
			p.say(`{"method": "emit", "event": "json", "data": []}`)
			if opts == nil {
				n.await(`["json"]`)
				if s := n.backend.Stats(); s.Malformed != 2 || n.log.count("WithPickle") == 0 {
					t.Errorf("%+v", s)
				}
				return
			}
			n.await(`["pickled","x"]`, `["json",[]]`) // as these versions read it
			if s := n.backend.Stats(); s.Malformed != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}
