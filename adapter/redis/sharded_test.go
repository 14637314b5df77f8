//go:build unix

package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// shardPeer speaks sharded Pub/Sub byte by byte.
type shardPeer struct {
	t      *testing.T
	client *goredis.Client
	heard  <-chan *goredis.Message
}

func newShardPeer(t *testing.T, r *process, channels ...string) *shardPeer {
	t.Helper()
	p := &shardPeer{t: t, client: goredis.NewClient(&goredis.Options{Addr: r.addr()})}
	sub := p.client.SSubscribe(t.Context(), channels...)
	for range channels {
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.heard = sub.Channel(goredis.WithChannelSize(4096))
	t.Cleanup(func() {
		_ = sub.Close()
		_ = p.client.Close()
	})
	return p
}

func (p *shardPeer) say(channel, payload string) {
	p.t.Helper()
	if err := p.client.SPublish(p.t.Context(), channel, payload).Err(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *shardPeer) next() *goredis.Message {
	p.t.Helper()
	select {
	case m := <-p.heard:
		return m
	case <-time.After(patience):
		p.t.Fatal("nothing heard")
		return nil
	}
}

// expect waits for a message in which UID stands for the id of the node.
func (p *shardPeer) expect(uid, channel, payload string) {
	p.t.Helper()
	m := p.next()
	if got := strings.ReplaceAll(m.Payload, uid, "UID"); m.Channel != channel || got != payload {
		p.t.Errorf("got  %s %q\nwant %s %q", m.Channel, got, channel, payload)
	}
}

// shardChannels returns the sharded channels that somebody hears.
func (p *shardPeer) shardChannels() []string {
	p.t.Helper()
	names, err := p.client.PubSubShardChannels(p.t.Context(), "*").Result()
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

const shardMain = "socket.io#/#"

// TestShardedWire holds the bytes that Node's adapter would write.
func TestShardedWire(t *testing.T) {
	r := runProcess(t)
	n := start(t, redis.New(r.url(), redis.WithSharded(redis.Static)), nodeOptions{rooms: []string{"r1"}}).ready()
	p := newShardPeer(t, r, shardMain, "socket.io#/#peer#")
	n.emit(`["hello","world"]`)
	m := p.next()
	const tail = `","nsp":"/"}`
	if len(m.Payload) < len(tail)+16 {
		t.Fatalf("%q", m.Payload)
	}
	uid := strings.TrimSuffix(m.Payload, tail)
	uid = uid[len(uid)-16:]
	if got, want := m.Payload, `{"type":3,"data":{"packet":{"type":2,"data":["hello","world"]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"`+uid+tail; got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	a := n.adapter
	all := adapter.Selector{}
	check := func(payload string, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		p.expect(uid, shardMain, payload)
	}
	sel := adapter.Selector{Rooms: []string{"r1"}, Except: []string{"x"}}
	check(`{"type":3,"data":{"packet":{"type":2,"data":[1]},"opts":{"rooms":["r1"],"except":["x"],"flags":{"volatile":true,"compress":false}}},"uid":"UID","nsp":"/"}`,
		a.Broadcast(&adapter.Packet{Args: []byte(`[1]`)}, sel, adapter.Flags{Volatile: true, NoCompress: true}))
	check("\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\x92\xa3bin\xc4\x03\x01\x02\x03\xa4opts\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80\xa3uid\xb0UID\xa3nsp\xa1/",
		a.Broadcast(&adapter.Packet{Args: []byte(`["bin",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 3}}}, all, adapter.Flags{}))
	check(`{"type":4,"data":{"opts":{"rooms":["r1"],"except":["x"],"flags":{}},"rooms":["r2","r3"]},"uid":"UID","nsp":"/"}`, a.AddSockets(sel, []string{"r2", "r3"}))
	check(`{"type":5,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["r2"]},"uid":"UID","nsp":"/"}`, a.DelSockets(all, []string{"r2"}))
	check(`{"type":6,"data":{"opts":{"rooms":["gone"],"except":[],"flags":{}},"close":true},"uid":"UID","nsp":"/"}`, a.DisconnectSockets(adapter.Selector{Rooms: []string{"gone"}}, true))
	check(`{"type":9,"data":{"packet":["hi",1]},"uid":"UID","nsp":"/"}`, a.ServerSideEmit(&adapter.Packet{Args: []byte(`["hi",1]`)}))
	check("\x84\xa4type\x09\xa4data\x81\xa6packet\x91\xc4\x01\x07\xa3uid\xb0UID\xa3nsp\xa1/",
		a.ServerSideEmit(&adapter.Packet{Args: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{7}}}))
}

// TestShardedRequestsOfNode holds the answers to what Node asks.
func TestShardedRequestsOfNode(t *testing.T) {
	r := runProcess(t)
	n := start(t, redis.New(r.url(), redis.WithSharded(redis.Static)), nodeOptions{rooms: []string{"r1"}}).ready()
	p := newShardPeer(t, r, shardMain, "socket.io#/#peer#")
	n.emit(`["first"]`)
	first := strings.TrimSuffix(p.next().Payload, `","nsp":"/"}`)
	uid := first[len(first)-16:]
	tests := []struct {
		name, request string
		answers       []string
	}{
		{"fetch", `{"type":7,"data":{"opts":{"rooms":["r1"],"except":[],"flags":{}},"requestId":"q"},"uid":"peer","nsp":"/"}`,
			[]string{`{"type":8,"data":{"requestId":"q","sockets":[{"id":"socket","handshake":{},"rooms":["socket"],"data":{}}]},"uid":"UID","nsp":"/"}`}},
		{"fetch, nobody", `{"type":7,"data":{"opts":{"rooms":["none"],"except":[]},"requestId":"q"},"uid":"peer","nsp":"/"}`,
			[]string{`{"type":8,"data":{"requestId":"q","sockets":[]},"uid":"UID","nsp":"/"}`}},
		{"event of a node", `{"type":9,"data":{"requestId":"q","packet":["ask"]},"uid":"peer","nsp":"/"}`,
			[]string{`{"type":10,"data":{"requestId":"q","packet":"pong"},"uid":"UID","nsp":"/"}`}},
		{"broadcast with ack", `{"type":3,"data":{"packet":{"type":2,"data":["ask"]},"requestId":"q","opts":{"rooms":["r1"],"except":[],"flags":{"timeout":1000}}},"uid":"peer","nsp":"/"}`,
			[]string{`{"type":11,"data":{"requestId":"q","clientCount":1},"uid":"UID","nsp":"/"}`,
				`{"type":12,"data":{"requestId":"q","number":1,"packet":"pong"},"uid":"UID","nsp":"/"}`}},
		{"broadcast with ack, nobody, in msgpack", "\x84\xa4type\x03\xa4data\x83\xa6packet\x82\xa4type\x02\xa4data\x91\xa3ask\xa9requestId\xa1q\xa4opts\x83\xa5rooms\x91\xa4none\xa6except\x90\xa5flags\x80\xa3uid\xa4peer\xa3nsp\xa1/",
			[]string{`{"type":11,"data":{"requestId":"q","clientCount":0},"uid":"UID","nsp":"/"}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.t = t
			p.say(shardMain, tt.request)
			if got := p.next().Payload; got != tt.request {
				t.Fatalf("got %q", got)
			}
			for _, answer := range tt.answers {
				p.expect(uid, "socket.io#/#peer#", answer)
			}
		})
	}
}

// TestShardedModes holds what is heard in each mode: rooms that have members,
// and the ids that Node publishes for on channels of their own.
func TestShardedModes(t *testing.T) {
	twenty := strings.Repeat("x", 20)
	public := []string{"socket.io#/#a room#", "socket.io#/#" + twenty + "#"}
	tests := []struct {
		mode redis.SubscriptionMode
		want []string
	}{
		{redis.Static, nil},
		// "socket" has not the length that Node expects of an id.
		{redis.Dynamic, []string{"socket.io#/#socket#", public[0]}},
		{redis.DynamicPrivate, []string{"socket.io#/#socket#", "socket.io#/#" + strings.Repeat("i", 20) + "#", public[0], public[1]}},
	}
	for _, tt := range tests {
		t.Run(string(tt.mode), func(t *testing.T) {
			r := runProcess(t)
			n := start(t, redis.New(r.url(), redis.WithSharded(tt.mode)), nodeOptions{rooms: []string{"a room", twenty}}).ready()
			n.adapter.Add(&socket{id: strings.Repeat("i", 20)})
			guest := &socket{id: "guest, who leaves"}
			n.adapter.Add(guest, "a room", "another")
			n.adapter.DelAll(guest)
			p := newShardPeer(t, r)
			slices.Sort(tt.want)
			eventually(t, "the channels are heard", func() bool {
				// Two more: that of all, and that of the node.
				var rooms []string
				names := p.shardChannels()
				for _, name := range names {
					if name != shardMain && len(name) != len(shardMain)+16+1 {
						rooms = append(rooms, name)
					}
				}
				return len(names) == len(rooms)+2 && slices.Equal(rooms, tt.want)
			})
			p.say("socket.io#/#socket#", `{"type":3,"data":{"packet":{"type":2,"data":["private"]},"opts":{"rooms":["socket"],"except":[],"flags":{}}},"uid":"peer","nsp":"/"}`)
			p.say(shardMain, `{"type":3,"data":{"packet":{"type":2,"data":["last"]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"peer","nsp":"/"}`)
			if private := slices.Contains(n.wait(`["last"]`), `["private"]`); private != (tt.mode != redis.Static) {
				t.Errorf("a private message came: %v", private)
			}
			if err := n.adapter.Close(); err != nil {
				t.Error(err)
			}
			eventually(t, "nothing is heard any more", func() bool { return len(p.shardChannels()) == 0 })
		})
	}
}

// TestShardedJoinThenEmit holds that what is sent to a room that sockets of
// another node were just made to join reaches them, and in order.
func TestShardedJoinThenEmit(t *testing.T) {
	r := runProcess(t)
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			opts := []redis.Option{redis.WithSharded(mode), redis.WithKey(string(mode)), redis.WithTimes(time.Hour, 0)}
			a := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
			b := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
			const rooms = 200
			for i := range rooms {
				room := fmt.Sprint("room", i)
				if err := a.adapter.AddSockets(adapter.Selector{}, []string{room}); err != nil {
					t.Fatal(err)
				}
				a.emit(fmt.Sprintf(`["n",%d]`, i), room)
			}
			checkOrder(t, b.wait(fmt.Sprintf(`["n",%d]`, rooms-1)), 0, rooms)
		})
	}
}

// TestShardedChannels holds the channel that each broadcast goes to.
func TestShardedChannels(t *testing.T) {
	r := runProcess(t)
	twenty := strings.Repeat("é", 20)
	longer := strings.Repeat("x", 18) + "😀x"
	tests := []struct {
		name  string
		mode  redis.SubscriptionMode
		fresh time.Duration
		rooms []string
		room  string // whose channel; "": that of all
	}{
		{"to all", redis.Dynamic, 0, nil, ""},
		{"to a room", redis.Dynamic, 0, []string{"r"}, "r"},
		{"to two rooms", redis.Dynamic, 0, []string{"r", "s"}, ""},
		{"to an id", redis.Dynamic, 0, []string{twenty}, ""},
		{"to what is one unit longer than an id", redis.Dynamic, 0, []string{longer}, longer},
		{"to a room with new members", redis.Dynamic, time.Hour, []string{"r"}, ""},
		{"to another room", redis.Dynamic, time.Hour, []string{"old"}, "old"},
		{"to a room, static", redis.Static, 0, []string{"r"}, ""},
		{"to an id, static", redis.Static, 0, []string{twenty}, ""},
		{"to a room, private", redis.DynamicPrivate, 0, []string{"r"}, "r"},
		{"to an id, private", redis.DynamicPrivate, 0, []string{twenty}, twenty},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			main := fmt.Sprintf("key%d#/#", i)
			want := main
			heard := []string{main}
			if tt.room != "" {
				want += tt.room + "#"
				heard = append(heard, want)
			}
			p := newShardPeer(t, r, heard...)
			n := start(t, redis.New(r.url(), redis.WithKey(fmt.Sprint("key", i)), redis.WithSharded(tt.mode), redis.WithTimes(tt.fresh, 0)), nodeOptions{}).ready()
			if err := n.adapter.AddSockets(adapter.Selector{}, []string{"r"}); err != nil {
				t.Fatal(err)
			}
			p.next()
			n.emit(`["x"]`, tt.rooms...)
			if m := p.next(); m.Channel != want {
				t.Errorf("on %s, want %s", m.Channel, want)
			}
		})
	}
}

// TestShardedNews holds that a node which learns of a member of a room from the
// node that has it reaches that member, through the channel of the room.
func TestShardedNews(t *testing.T) {
	r := runProcess(t)
	a := start(t, redis.New(r.url(), redis.WithSharded(redis.Dynamic)), nodeOptions{}).ready()
	p := newShardPeer(t, r, shardMain)
	member := &socket{id: "member"}
	a.adapter.Add(member)
	const rooms = 200
	for i := range rooms {
		room := fmt.Sprint("room", i)
		a.adapter.Add(member, room)
		if err := a.adapter.ServerSideEmit(&adapter.Packet{Args: []byte(`["joined"]`)}); err != nil {
			t.Fatal(err)
		}
		if news := p.next().Payload; !strings.Contains(news, `["joined"]`) {
			t.Fatalf("got %s", news)
		}
		p.say("socket.io#/#"+room+"#", fmt.Sprintf(`{"type":3,"data":{"packet":{"type":2,"data":["n",%d]},"opts":{"rooms":["%s"],"except":[],"flags":{}}},"uid":"peer","nsp":"/"}`, i, room))
	}
	checkOrder(t, a.wait(fmt.Sprintf(`["n",%d]`, rooms-1)), 0, rooms)
}

// TestShardedSharedChannel holds two namespaces apart of which one is named as
// a room of the other, and their channels with it.
func TestShardedSharedChannel(t *testing.T) {
	r := runProcess(t)
	a := start(t, redis.New(r.url(), redis.WithSharded(redis.Dynamic)), nodeOptions{rooms: []string{"x"}})
	other := &host{namespace: "/#x"}
	o, err := a.backend.Open(other)
	if err != nil {
		t.Fatal(err)
	}
	o.Add(&socket{id: "other"})
	a.ready()
	p := newShardPeer(t, r)
	eventually(t, "the room is heard", func() bool { return slices.Contains(p.shardChannels(), "socket.io#/#socket#") })
	say := func(nsp, what, rooms string) {
		p.say("socket.io#/#x#", `{"type":3,"data":{"packet":{"type":2,"data":["`+what+`"]},"opts":{"rooms":[`+rooms+`],"except":[],"flags":{}}},"uid":"peer","nsp":"`+nsp+`"}`)
	}
	say("/", "to the room", `"x"`)
	say("/#x", "to the namespace", ``)
	a.wait(`["to the room"]`)
	eventually(t, "the namespace gets its own", func() bool { return slices.Equal(other.events(), []string{`["to the namespace"]`}) })
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	say("/", "still", `"x"`)
	if got := a.wait(`["still"]`); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

func TestShardedPoisonedBus(t *testing.T) {
	r := runProcess(t)
	n := start(t, redis.New(r.url(), redis.WithSharded(redis.Dynamic)), nodeOptions{rooms: []string{"r"}}).ready()
	p := newShardPeer(t, r)
	bad := []string{
		"", "\x00", "\xc1", "{", "[]", `{"type":"x"}`, `{"type":3,"nsp":"/"}`, `{"type":3,"nsp":"/","data":{"opts":{}}}`,
		`{"type":8,"nsp":"/","data":{"sockets":1}}`, `{"type":9,"nsp":"/","data":{"packet":"x"}}`, "\xdf\xff\xff\xff\xff\xa1a",
		"\x84\xa4type\x03\xa4data\x81\xa6packet\xdd\xff\xff\xff\xff", strings.Repeat("\x91", 1<<20), `{"type":3,"nsp":"/","data":` + strings.Repeat("[", 1<<20),
	}
	for _, payload := range bad {
		p.say(shardMain, payload)
	}
	p.say("socket.io#/#r#", `{"type":3,"data":{"packet":{"type":2,"data":["hi"]},"opts":{"rooms":["r"],"except":[],"flags":{}}},"uid":"peer","nsp":"/"}`)
	n.wait(`["hi"]`)
	if stats := n.backend.Stats(); stats.Malformed != uint64(len(bad)) || !stats.Connected {
		t.Errorf("%+v of %d", stats, len(bad))
	}
}
