package redis

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func packet(args string, attachments ...string) *adapter.Packet {
	p := &adapter.Packet{Args: []byte(args)}
	for _, a := range attachments {
		p.Attachments = append(p.Attachments, []byte(a))
	}
	return p
}

// codecNamespace returns a namespace that can only encode.
func codecNamespace(nsp, uid string, opts ...Option) *namespace {
	return &namespace{
		backend:  &Backend{config: newConfig(opts)},
		name:     nsp,
		uid:      uid,
		ids:      "",
		channels: newChannels("socket.io", nsp, uid),
	}
}

// The samples were made with the encoders that @socket.io/redis-adapter uses.
func TestEncodeBroadcast(t *testing.T) {
	sid := strings.Repeat("A", 20)
	tests := []struct {
		name, nsp, channel, hex string
		m                       cluster.Message
	}{
		{
			"plain", "/", "socket.io#/#",
			`93 a6616263313233
			 83 a474797065 02 a464617461 92 a568656c6c6f a5776f726c64 a36e7370 a12f
			 83 a5726f6f6d73 90 a6657863657074 90 a5666c616773 80`,
			cluster.Message{Packet: packet(`["hello","world"]`)},
		},
		{
			"one room, except, flags", "/admin", "socket.io#/admin#r1#",
			`93a661626331323383a47479706502a46461746194a568656c6c6f01c3c0a36e7370a62f61646d696e
			 83a5726f6f6d7391a27231a665786365707491b4` + strings.Repeat("41", 20) + `a5666c61677382a8766f6c6174696c65c3a8636f6d7072657373c2`,
			cluster.Message{
				Packet:   packet(`["hello",1,true,null]`),
				Selector: adapter.Selector{Rooms: []string{"r1"}, Except: []string{sid}},
				Flags:    adapter.Flags{Volatile: true, NoCompress: true},
			},
		},
		{
			"two rooms, binary", "/", "socket.io#/#",
			`93a661626331323383a47479706502a46461746192a362696ec403010203a36e7370a12f83a5726f6f6d7392a161a162a665786365707490a5666c61677380`,
			cluster.Message{
				Packet:   packet(`["bin",{"_placeholder":true,"num":0}]`, "\x01\x02\x03"),
				Selector: adapter.Selector{Rooms: []string{"a", "b"}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.Type = cluster.Broadcast
			channel, payload, err := codecNamespace(tt.nsp, "abc123").encode(nil, &tt.m)
			if err != nil {
				t.Fatal(err)
			}
			if want := unhex(t, strings.NewReplacer("\n", "", "\t", "").Replace(tt.hex)); channel != tt.channel || string(payload) != string(want) {
				t.Errorf("got  %s %x\nwant %s %x", channel, payload, tt.channel, want)
			}
		})
	}
}

func TestEncodeRequestsAndResponses(t *testing.T) {
	const request, response = "socket.io-request#/#", "socket.io-response#/#"
	r1 := adapter.Selector{Rooms: []string{"r1"}}
	tests := []struct {
		name, channel, want string
		m                   cluster.Message
	}{
		{"all rooms", request, `{"uid":"GDUleH","requestId":"qJoHSx","type":1}`,
			cluster.Message{Type: cluster.ListRooms, RequestID: "qJoHSx"}},
		{"join", request, `{"uid":"GDUleH","type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r2","r3"]}`,
			cluster.Message{Type: cluster.AddSockets, Selector: r1, Rooms: []string{"r2", "r3"}}},
		{"leave", request, `{"uid":"GDUleH","type":3,"opts":{"rooms":[],"except":["a\"b"]},"rooms":["r2"]}`,
			cluster.Message{Type: cluster.DelSockets, Selector: adapter.Selector{Except: []string{`a"b`}}, Rooms: []string{"r2"}}},
		{"disconnect", request, `{"uid":"GDUleH","type":4,"opts":{"rooms":[],"except":[]},"close":true}`,
			cluster.Message{Type: cluster.DisconnectSockets, CloseConn: true}},
		{"fetch", request, `{"uid":"GDUleH","requestId":"qJoHSx","type":5,"opts":{"rooms":["r1"],"except":[]}}`,
			cluster.Message{Type: cluster.FetchSockets, RequestID: "qJoHSx", Selector: r1}},
		{"server-side emit", request, `{"uid":"GDUleH","type":6,"data":["hello","world",1]}`,
			cluster.Message{Type: cluster.ServerSideEmit, Packet: packet(`["hello","world",1]`)}},
		{"server-side emit with ack", request, `{"uid":"GDUleH","requestId":"qJoHSx","type":6,"data":["ping"]}`,
			cluster.Message{Type: cluster.ServerSideEmit, RequestID: "qJoHSx", Packet: packet(`["ping"]`)}},
		{"binary server-side emit", request, "\x83\xa3uid\xa6GDUleH\xa4type\x06\xa4data\x92\xa1b\xc4\x01\x07",
			cluster.Message{Type: cluster.ServerSideEmit, Packet: packet(`["b",{"_placeholder":true,"num":0}]`, "\x07")}},
		{"broadcast with ack", request,
			"\x85\xa3uid\xa6GDUleH\xa9requestId\xa6qJoHSx\xa4type\x07\xa6packet\x83\xa4type\x02\xa4data\x91\xa2hi\xa3nsp\xa1/" +
				"\xa4opts\x83\xa5rooms\x90\xa6except\x90\xa5flags\x81\xa7timeout\xcd\x13\x88",
			cluster.Message{Type: cluster.Broadcast, RequestID: "qJoHSx", Packet: packet(`["hi"]`), Timeout: 5 * time.Second}},
		{"rooms", response, `{"requestId":"qJoHSx","rooms":["r1","r2"],"uid":"GDUleH"}`,
			cluster.Message{Type: cluster.ListRoomsAnswer, RequestID: "qJoHSx", Rooms: []string{"r1", "r2"}}},
		{"no rooms", response, `{"requestId":"qJoHSx","rooms":[],"uid":"GDUleH"}`,
			cluster.Message{Type: cluster.ListRoomsAnswer, RequestID: "qJoHSx"}},
		{"sockets", response, `{"requestId":"qJoHSx","sockets":[{"id":"a","handshake":{"x":1},"rooms":["a"],"data":{}}],"uid":"GDUleH"}`,
			cluster.Message{Type: cluster.FetchAnswer, RequestID: "qJoHSx", Sockets: []adapter.SocketInfo{{ID: "a", Handshake: []byte(`{"x":1}`), Rooms: []string{"a"}}}}},
		{"ids of sockets", response, `{"requestId":"qJoHSx","sockets":["a","b"],"uid":"GDUleH"}`,
			cluster.Message{Type: cluster.FetchAnswer, RequestID: idsPrefix + "qJoHSx", Sockets: []adapter.SocketInfo{{ID: "a"}, {ID: "b"}}}},
		{"server-side answer", response, `{"type":6,"requestId":"qJoHSx","data":"pong","uid":"GDUleH"}`,
			cluster.Message{Type: cluster.ServerSideEmitAnswer, RequestID: "qJoHSx", Packet: packet(`["pong"]`)}},
		{"server-side answer of nothing", response, `{"type":6,"requestId":"qJoHSx","uid":"GDUleH"}`,
			cluster.Message{Type: cluster.ServerSideEmitAnswer, RequestID: "qJoHSx", Packet: packet(`[]`)}},
		{"client count", response, `{"type":8,"requestId":"qJoHSx","clientCount":3,"uid":"GDUleH"}`,
			cluster.Message{Type: cluster.BroadcastCount, RequestID: "qJoHSx", Count: 3}},
		{"client count of none", response, `{"type":8,"requestId":"qJoHSx","clientCount":0,"uid":"GDUleH"}`,
			cluster.Message{Type: cluster.BroadcastCount, RequestID: "qJoHSx"}},
		{"ack", response, "\x84\xa4type\x09\xa9requestId\xa6req001\xa3uid\xa6GDUleH\xa6packet\xa4pong",
			cluster.Message{Type: cluster.BroadcastAnswer, RequestID: "req001", Packet: packet(`["pong"]`)}},
		{"ack of several", response, "\x84\xa4type\x09\xa9requestId\xa6req001\xa3uid\xa6GDUleH\xa6packet\x01",
			cluster.Message{Type: cluster.BroadcastAnswer, RequestID: "req001", Packet: packet(`[1,2]`)}},
		{"ack of nothing", response, "\x83\xa4type\x09\xa9requestId\xa6req001\xa3uid\xa6GDUleH",
			cluster.Message{Type: cluster.BroadcastAnswer, RequestID: "req001", Packet: packet(`[]`)}},
		{"heartbeat", "", "", cluster.Message{Type: cluster.Heartbeat}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			channel, payload, err := codecNamespace("/", "GDUleH").encode(nil, &tt.m)
			if err != nil {
				t.Fatal(err)
			}
			if channel != tt.channel || string(payload) != tt.want {
				t.Errorf("got  %s %q\nwant %s %q", channel, payload, tt.channel, tt.want)
			}
		})
	}
}

func TestSpecificResponseChannel(t *testing.T) {
	n := codecNamespace("/", "GDUleH", WithSpecificResponseChannel())
	for _, tt := range []struct {
		m    cluster.Message
		want string
	}{
		{cluster.Message{Type: cluster.BroadcastCount, To: "abc123"}, "socket.io-response#/#abc123#"},
		{cluster.Message{Type: cluster.BroadcastCount}, "socket.io-response#/#"},
		{cluster.Message{Type: cluster.ServerSideEmitAnswer, To: "abc123"}, "socket.io-response#/#"},
	} {
		if channel, _, err := n.encode(nil, &tt.m); channel != tt.want || err != nil {
			t.Errorf("%v: channel %q, %v", tt.m.Type, channel, err)
		}
	}
}

func TestReadBroadcast(t *testing.T) {
	tests := []struct {
		name, hex, uid, nsp, rooms, except string
		flags                              adapter.Flags
	}{
		{"plain", "93a661626331323383a47479706502a46461746192a568656c6c6fa5776f726c64a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
			"abc123", "/", "", "", adapter.Flags{}},
		{"flags", "93a661626331323383a47479706502a46461746190a36e7370a62f61646d696e83a5726f6f6d7391a27231a665786365707491a161a5666c61677382a8766f6c6174696c65c3a8636f6d7072657373c2",
			"abc123", "/admin", "r1", "a", adapter.Flags{Volatile: true, NoCompress: true}},
		{"no flags", "93a17583a47479706502a46461746191a165a36e7370a12f82a5726f6f6d7390a665786365707490", "u", "/", "", "", adapter.Flags{}},
		{"emitter", "93a7656d697474657283a47479706502a46461746191a26869a36e7370a12f83a5726f6f6d7391a27231a5666c61677380a665786365707490",
			"emitter", "/", "r1", "", adapter.Flags{}},
		{"no nsp, no opts", "92a17581a464617461 90", "u", "/", "", "", adapter.Flags{}},
		{"nil everywhere", "93c084a474797065 05 a464617461 90 a36e7370 c0 a178 01 83a5726f6f6d73c0a6657863657074c0a5666c616773c0", "", "/", "", "", adapter.Flags{}},
		{"numeric room, unknown flags", "93a17581a46461746190 83 a5726f6f6d7391 07 a178 c0 a5666c616773 82 a962726f616463617374 c3 a774696d656f7574 cd1388",
			"u", "/", "7", "", adapter.Flags{}},
		{"more than three", "94a17581a4646174619080c0", "u", "/", "", "", adapter.Flags{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := readBroadcast(unhex(t, tt.hex))
			if err != nil {
				t.Fatal(err)
			}
			rooms, except := strings.Join(m.opts.selector.Rooms, ","), strings.Join(m.opts.selector.Except, ",")
			if m.uid != tt.uid || m.packet.nsp != tt.nsp || rooms != tt.rooms || except != tt.except || m.opts.flags != tt.flags {
				t.Errorf("%+v", m)
			}
		})
	}
}

// poison is what must be refused by every reader, without a panic and without
// memory for what it declares.
var poison = []string{
	"", "00", "ff", "c1", "7b", "7b7d7d", "90", "91a175", "92a17501", "93a1758001", "93a17581a464617461",
	"ddffffffff", "dfffffffff", "93a175dfffffffffa161", "93a17581a464617461dd7fffffff90", "93dbffffffff61",
	"93a17582a47479706503a4646174619080", "93a17581a4646174619081a5726f6f6d7301", "93a17581a4646174619081a5726f6f6d73ddffffffff",
}

func TestReadPoison(t *testing.T) {
	for _, text := range poison {
		b := unhex(t, text)
		if m, err := readBroadcast(b); err == nil {
			t.Errorf("%s: %+v", text, m)
		}
		if r, err := readRequest(b); err == nil && r.kind != typeMissing {
			t.Errorf("%s: %+v", text, r)
		}
	}
}

func TestReadRequest(t *testing.T) {
	tests := []struct {
		name, in string
		want     request
	}{
		{"all rooms", `{"uid":"GDUleH","requestId":"qJoHSx","type":1}`, request{uid: "GDUleH", requestID: "qJoHSx", kind: typeAllRooms}},
		{"emitter", `{"type":2,"opts":{"rooms":["r",1],"except":[]},"rooms":["s"]}`,
			request{kind: typeRemoteJoin, opts: &optsMessage{selector: adapter.Selector{Rooms: []string{"r", "1"}}}, rooms: []string{"s"}, hasRooms: true}},
		{"legacy", `{"requestId":"q","type":3,"sid":"x","room":7,"uid":null}`, request{requestID: "q", kind: typeRemoteLeave, sid: "x", room: "7"}},
		{"disconnect", `{"type":4,"opts":{"flags":{"compress":false,"timeout":10}},"close":true,"future":[1]}`,
			request{kind: typeRemoteDisconnect, closeConn: true, opts: &optsMessage{flags: adapter.Flags{NoCompress: true}, timeout: 10 * time.Millisecond}}},
		{"count", `{"type":8,"requestId":"q","clientCount":3}`, request{kind: typeBroadcastClientCount, requestID: "q", count: 3}},
		{"count in msgpack", "\x83\xa4type\x08\xa9requestId\xa1q\xabclientCount\x03", request{kind: typeBroadcastClientCount, requestID: "q", count: 3}},
		{"join in msgpack", "\x83\xa4type\x02\xa4opts\x81\xa5rooms\x91\xa1a\xa5rooms\x91\xa1b",
			request{kind: typeRemoteJoin, opts: &optsMessage{selector: adapter.Selector{Rooms: []string{"a"}}}, rooms: []string{"b"}, hasRooms: true}},
		{"rooms only", `{"requestId":"q","rooms":[]}`, request{kind: typeMissing, requestID: "q", hasRooms: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readRequest([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			checkRequest(t, got, &tt.want)
		})
	}
}

func checkRequest(t *testing.T, got, want *request) {
	t.Helper()
	if got.uid != want.uid || got.requestID != want.requestID || got.kind != want.kind || got.sid != want.sid ||
		got.room != want.room || got.closeConn != want.closeConn || got.count != want.count || got.hasRooms != want.hasRooms ||
		strings.Join(got.rooms, ",") != strings.Join(want.rooms, ",") || (got.opts == nil) != (want.opts == nil) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	if want.opts == nil {
		return
	}
	if got.opts.flags != want.opts.flags || got.opts.timeout != want.opts.timeout ||
		strings.Join(got.opts.selector.Rooms, ",") != strings.Join(want.opts.selector.Rooms, ",") {
		t.Fatalf("got  %+v\nwant %+v", got.opts, want.opts)
	}
}
