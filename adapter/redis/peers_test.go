//go:build unix

package redis_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/redis"
)

// peer speaks to a node as others do: byte by byte.
type peer struct {
	t      *testing.T
	client *goredis.Client
	heard  <-chan *goredis.Message
}

func newPeer(t *testing.T, r *embedded) *peer {
	t.Helper()
	p := &peer{t: t, client: goredis.NewClient(&goredis.Options{Addr: r.Addr()})}
	sub := p.client.Subscribe(t.Context(), "socket.io-response#/#", "socket.io-response#/#peer01#")
	for range 2 {
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

func (p *peer) say(channel, payload string) {
	p.t.Helper()
	if err := p.client.Publish(p.t.Context(), channel, payload).Err(); err != nil {
		p.t.Fatal(err)
	}
}

// ownUID is how an answer says whose it is.
var ownUID = regexp.MustCompile(`"uid":"[0-9A-Z]{12}"}$`)

// expect waits for an answer in which UID stands for the id of the node.
func (p *peer) expect(channel, payload string) {
	p.t.Helper()
	select {
	case m := <-p.heard:
		if got := ownUID.ReplaceAllString(m.Payload, `"uid":"UID"}`); m.Channel != channel || got != payload {
			p.t.Errorf("got  %s %q\nwant %s %q", m.Channel, got, channel, payload)
		}
	case <-time.After(patience):
		p.t.Fatalf("no answer %q", payload)
	}
}

const (
	requests  = "socket.io-request#/#"
	responses = "socket.io-response#/#"
)

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRequestsOfNode(t *testing.T) {
	r := runEmbedded(t)
	start(t, redis.New(r.url()), nodeOptions{rooms: []string{"r1"}}).ready()
	p := newPeer(t, r)
	tests := []struct{ name, request, response string }{
		{"ids of sockets", `{"uid":"peer01","requestId":"q","type":0,"rooms":[]}`, `{"requestId":"q","sockets":["socket"],"uid":"UID"}`},
		{"rooms", `{"uid":"peer01","requestId":"q","type":1}`, `{"requestId":"q","rooms":["r1"],"uid":"UID"}`},
		{"sockets", `{"uid":"peer01","requestId":"q","type":5,"opts":{"rooms":[],"except":[]}}`,
			`{"requestId":"q","sockets":[{"id":"socket","handshake":{},"rooms":["socket"],"data":{}}],"uid":"UID"}`},
		{"broadcast with ack, of nobody", "\x85\xa3uid\xa6peer01\xa9requestId\xa1q\xa4type\x07\xa6packet\x83\xa4type\x02\xa4data\x91\xa2hi\xa3nsp\xa1/" +
			"\xa4opts\x83\xa5rooms\x91\xa6absent\xa6except\x90\xa5flags\x81\xa7timeout\xcd\x13\x88", `{"type":8,"requestId":"q","clientCount":0,"uid":"UID"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.t = t
			p.say(requests, tt.request)
			p.expect(responses, tt.response)
		})
	}
}

// TestLegacyRequests holds that what names one socket is for that socket alone,
// and for no room of that name.
func TestLegacyRequests(t *testing.T) {
	for _, f := range families[:2] {
		t.Run(f.name, func(t *testing.T) { testLegacyRequests(t, f.opts) })
	}
}

func testLegacyRequests(t *testing.T, opts []redis.Option) {
	r := runEmbedded(t)
	n := start(t, redis.New(r.url(), opts...), nodeOptions{}).ready()
	named, ok := n.adapter.(interface {
		Lookup(string) (adapter.Socket, bool)
	}).Lookup("socket")
	if !ok {
		t.Fatal("the socket is not there")
	}
	other := &socket{id: "other"} // in a room that is named as a socket
	n.adapter.Add(other, "socket", "lobby")
	p := newPeer(t, r)
	const answer = `{"requestId":"q","uid":"UID"}`
	tests := []struct {
		name, request, response string // no response: the socket is not here
		rooms                   string // of the socket then
		cut                     string // who is disconnected
		malformed               uint64
	}{
		{"join", `{"uid":"peer01","requestId":"q","type":2,"sid":"socket","room":"x"}`, answer, "[socket x]", "[]", 0},
		{"join another", `{"requestId":"q","type":2,"sid":"socket","room":7}`, answer, "[socket x 7]", "[]", 0},
		{"leave", `{"uid":"peer01","requestId":"q","type":3,"sid":"socket","room":"x"}`, answer, "[socket 7]", "[]", 0},
		{"without an answer", `{"uid":"peer01","type":2,"sid":"socket","room":"y"}`, "", "[socket 7 y]", "[]", 0},
		{"join of a room", `{"uid":"peer01","requestId":"q","type":2,"sid":"lobby","room":"x"}`, "", "[socket 7 y]", "[]", 0},
		{"leave of a room", `{"uid":"peer01","requestId":"q","type":3,"sid":"lobby","room":"socket"}`, "", "[socket 7 y]", "[]", 0},
		{"disconnect of a room", `{"uid":"peer01","requestId":"q","type":4,"sid":"lobby","close":true}`, "", "[socket 7 y]", "[]", 0},
		{"disconnect of nobody", `{"uid":"peer01","requestId":"q","type":4,"sid":"gone","close":true}`, "", "[socket 7 y]", "[]", 0},
		{"join without a room", `{"uid":"peer01","requestId":"q","type":2,"sid":"socket"}`, "", "[socket 7 y]", "[]", 1},
		{"leave without a room", `{"uid":"peer01","requestId":"q","type":3,"sid":"socket","room":null}`, "", "[socket 7 y]", "[]", 2},
		{"no socket", `{"uid":"peer01","requestId":"q","type":4,"close":true}`, "", "[socket 7 y]", "[]", 3},
		{"disconnect", `{"requestId":"q","type":4,"sid":"socket"}`, answer, "[socket 7 y]", "[socket false]", 3},
		{"disconnect and close", `{"requestId":"q","type":4,"sid":"socket","close":true}`, answer, "[socket 7 y]", "[socket false socket true]", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p.t = t
			p.say(requests, tt.request)
			if tt.response != "" {
				p.expect(responses, tt.response)
			}
			// What comes next is answered next.
			p.say(requests, `{"uid":"peer01","requestId":"next","type":0,"rooms":["lobby"]}`)
			p.expect(responses, `{"requestId":"next","sockets":["other"],"uid":"UID"}`)
			n.host.mu.Lock()
			cut := fmt.Sprint(n.host.cut)
			n.host.mu.Unlock()
			if rooms := fmt.Sprint(named.Membership().Rooms()); rooms != tt.rooms || cut != tt.cut {
				t.Errorf("the socket is in %s, want %s; disconnected are %s, want %s", rooms, tt.rooms, cut, tt.cut)
			}
			if rooms := fmt.Sprint(other.Membership().Rooms()); rooms != "[other socket lobby]" {
				t.Errorf("the other socket is in %s", rooms)
			}
			if m := n.backend.Stats().Malformed; m != tt.malformed {
				t.Errorf("%d malformed, want %d", m, tt.malformed)
			}
		})
	}
}

func TestSpecificResponses(t *testing.T) {
	r := runEmbedded(t)
	start(t, redis.New(r.url(), redis.WithSpecificResponseChannel()), nodeOptions{rooms: []string{"r1"}}).ready()
	p := newPeer(t, r)
	p.say(requests, `{"uid":"peer01","requestId":"q","type":1}`)
	p.expect("socket.io-response#/#peer01#", `{"requestId":"q","rooms":["r1"],"uid":"UID"}`)
	p.say(requests, `{"requestId":"q","type":1}`)
	p.expect(responses, `{"requestId":"q","rooms":["r1"],"uid":"UID"}`)
}

func TestEmitter(t *testing.T) {
	r := runEmbedded(t)
	n := start(t, redis.New(r.url()), nodeOptions{rooms: []string{"r1"}}).ready()
	p := newPeer(t, r)
	hi := unhex(t, "93a7656d697474657283a47479706502a46461746191a26869a36e7370a12f83a5726f6f6d7391a27231a5666c61677380a665786365707490")
	p.say("socket.io#/#r1#", hi)
	p.say("socket.io#/#r2#", strings.ReplaceAll(hi, "r1", "r2"))
	// Another namespace, on a channel that the pattern of this one matches.
	p.say("socket.io#/#x#", strings.ReplaceAll(hi, "\xa3nsp\xa1/", "\xa3nsp\xa3/#x"))
	p.say("socket.io#/#", strings.ReplaceAll(hi, "\xa2hi", "\xa2yo"))
	got := n.wait(`["hi"]`, `["yo"]`)
	if len(got) != 2 {
		t.Errorf("got %q", got)
	}
	p.say(requests, `{"type":4,"opts":{"rooms":["r1"],"except":[]},"close":true}`)
	eventually(t, "the emitter disconnects", func() bool {
		n.host.mu.Lock()
		defer n.host.mu.Unlock()
		return n.host.disconnected == 1
	})
	if m := n.backend.Stats().Malformed; m != 0 {
		t.Errorf("%d malformed", m)
	}
}

func TestPoisonedBus(t *testing.T) {
	r := runEmbedded(t)
	n := start(t, redis.New(r.url()), nodeOptions{}).ready()
	p := newPeer(t, r)
	bad := []string{
		"", "\x00", "\xff\xff\xff", "\xc1", "not msgpack", "{", `{"type":"x"}`, `{"type":99}`, `{"type":2}`, `{"type":6,"data":"x"}`,
		"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff\xa1a", "\x93\xa1u\xdf\xff\xff\xff\xff\xa1a", "\x93\xa1u\x81\xa4data\xdd\xff\xff\xff\xff\x80",
		"\x93\xa1u\x81\xa4data\x01\x80", "\x93\xa1u\x81\xa4data" + strings.Repeat("\x91", 1<<16) + "\x90\x80", strings.Repeat("\x91", 1<<20),
		"\x80\x04\x95pickle", "\x84\xa4type\x07\xa9requestId\xa1q\xa6packet\x01\xa4opts\x80",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := make([]byte, rnd.IntN(64))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		bad = append(bad, string(b))
	}
	for _, payload := range bad {
		for _, channel := range []string{"socket.io#/#", "socket.io#/#socket#", "socket.io#/#nobody#", requests, responses} {
			p.say(channel, payload)
		}
	}
	p.say("socket.io#/#", unhex(t, "93a7656d697474657283a47479706502a46461746191a26869a36e7370a12f80"))
	n.wait(`["hi"]`)
	// Broadcasts and requests of each are malformed, in the main.
	stats := n.backend.Stats()
	if stats.Malformed < uint64(len(bad)) || !stats.Connected {
		t.Errorf("%+v of %d", stats, len(bad))
	}
	if c := n.log.count("message skipped"); c < 1 || c > 30 {
		t.Errorf("%d lines in the log", c)
	}
}
