package redis

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// The samples were made with the encoder that @socket.io/redis-streams-adapter
// uses.
func TestEncodeEntry(t *testing.T) {
	r1 := adapter.Selector{Rooms: []string{"r1"}, Except: []string{"x"}}
	for _, tt := range []struct {
		name, want string
		m          cluster.Message
	}{
		{"broadcast", `{"packet":{"type":2,"data":["hello","world"]},"opts":{"rooms":[],"except":[],"flags":{}}}`,
			cluster.Message{Type: cluster.Broadcast, Packet: packet(`["hello","world"]`)}},
		{"flags", `{"packet":{"type":2,"data":[]},"opts":{"rooms":["r1"],"except":["x"],"flags":{"volatile":true,"compress":false}}}`,
			cluster.Message{Type: cluster.Broadcast, Packet: packet(`[]`), Selector: r1, Flags: adapter.Flags{Volatile: true, NoCompress: true}}},
		{"binary", `gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA==`,
			cluster.Message{Type: cluster.Broadcast, Packet: packet(`["bin",{"_placeholder":true,"num":0}]`, "\x01\x02\x03")}},
		{"join", `{"opts":{"rooms":["r1"],"except":["x"],"flags":{}},"rooms":["r2"]}`,
			cluster.Message{Type: cluster.AddSockets, Selector: r1, Rooms: []string{"r2"}}},
		{"leave", `{"opts":{"rooms":["r1"],"except":["x"],"flags":{}},"rooms":["r2"]}`,
			cluster.Message{Type: cluster.DelSockets, Selector: r1, Rooms: []string{"r2"}}},
		{"disconnect", `{"opts":{"rooms":["r1"],"except":["x"],"flags":{}},"close":true}`,
			cluster.Message{Type: cluster.DisconnectSockets, Selector: r1, CloseConn: true}},
		{"server-side event", `{"packet":["e",1]}`, cluster.Message{Type: cluster.ServerSideEmit, Packet: packet(`["e",1]`)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := appendEntryData(nil, &tt.m, false)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
			item := &streamItem{uid: "u", kind: itoa(int(clusterTypeOf(tt.m.Type))), data: string(got)}
			checkMessage(t, &tt.m, func() (*clusterMessage, error) { return item.message() })
		})
	}
}

// The samples are what Node writes with onlyPlaintext.
func TestEncodePlaintext(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		m          cluster.Message
	}{
		{"text", `{"packet":{"type":2,"data":["hello","{\"_placeholder\":true,\"num\":0}"]},"opts":{"rooms":[],"except":[],"flags":{}}}`,
			cluster.Message{Type: cluster.Broadcast, Packet: packet(`["hello","{\"_placeholder\":true,\"num\":0}"]`)}},
		{"binary", `{"packet":{"type":2,"data":["bin",{"type":"Buffer","data":[1,2,255]}, [{"x":{"type":"Buffer","data":[]}}]]},"opts":{"rooms":[],"except":[],"flags":{}}}`,
			cluster.Message{Type: cluster.Broadcast, Packet: packet(`["bin",{"_placeholder":true,"num":0}, [{"x":{"num":1, "_placeholder":true}}]]`, "\x01\x02\xff", "")}},
		{"server-side event", `{"packet":["e",{"type":"Buffer","data":[9]}]}`,
			cluster.Message{Type: cluster.ServerSideEmit, Packet: packet(`["e",{"_placeholder":true,"num":0}]`, "\t")}},
		{"no such attachment", `{"packet":["e",{"_placeholder":true,"num":7}]}`,
			cluster.Message{Type: cluster.ServerSideEmit, Packet: packet(`["e",{"_placeholder":true,"num":7}]`, "\t")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := appendEntryData(nil, &tt.m, true)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// checkMessage fails unless what is read means what was written.
func checkMessage(t *testing.T, want *cluster.Message, read func() (*clusterMessage, error)) {
	t.Helper()
	raw, err := read()
	if err != nil {
		t.Fatal(err)
	}
	got, err := raw.message()
	if err != nil {
		t.Fatal(err)
	}
	sent := *want
	sent.Sender = "u"
	sent.To = ""
	if sent.Type == cluster.ListRooms {
		sent.Type = cluster.FetchSockets
	}
	for _, m := range []*cluster.Message{got, &sent} {
		for _, list := range []*[]string{&m.Rooms, &m.Selector.Rooms, &m.Selector.Except} {
			if len(*list) == 0 {
				*list = nil
			}
		}
	}
	if !reflect.DeepEqual(got, &sent) {
		t.Errorf("read %+v, want %+v", got, &sent)
	}
}

func TestEncodeEnvelope(t *testing.T) {
	const id, uid = "0123456789abcdef", "fedcba9876543210"
	for _, tt := range []struct {
		name, want string
		m          cluster.Message
	}{
		{"fetch", `84a47479706507a46461746182a9726571756573744964b030313233343536373839616263646566a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a3756964b066656463626139383736353433323130a36e7370a12f`,
			cluster.Message{Type: cluster.FetchSockets, RequestID: id}},
		{"rooms", `84a47479706507a46461746182a9726571756573744964b030313233343536373839616263646566a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a3756964b066656463626139383736353433323130a36e7370a12f`,
			cluster.Message{Type: cluster.ListRooms, RequestID: id}},
		{"no sockets", `84a47479706508a46461746182a9726571756573744964b030313233343536373839616263646566a7736f636b65747390a3756964b066656463626139383736353433323130a36e7370a12f`,
			cluster.Message{Type: cluster.FetchAnswer, RequestID: id, Sockets: []adapter.SocketInfo{}}},
		{"ask", `84a47479706503a46461746183a9726571756573744964b030313233343536373839616263646566a67061636b657482a47479706502a46461746191a470696e67a46f70747383a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd03e8a3756964b066656463626139383736353433323130a36e7370a12f`,
			cluster.Message{Type: cluster.Broadcast, RequestID: id, Packet: packet(`["ping"]`), Timeout: time.Second}},
		{"count", `84a4747970650ba46461746182a9726571756573744964b030313233343536373839616263646566ab636c69656e74436f756e7400a3756964b066656463626139383736353433323130a36e7370a12f`,
			cluster.Message{Type: cluster.BroadcastCount, RequestID: id}},
		{"ack", `84a4747970650ca46461746182a9726571756573744964b030313233343536373839616263646566a67061636b6574a4706f6e67a3756964b066656463626139383736353433323130a36e7370a12f`,
			cluster.Message{Type: cluster.BroadcastAnswer, RequestID: id, Packet: packet(`["pong"]`)}},
		{"ack of nothing", `84a4747970650ca46461746181a9726571756573744964b030313233343536373839616263646566a3756964b066656463626139383736353433323130a36e7370a12f`,
			cluster.Message{Type: cluster.BroadcastAnswer, RequestID: id, Packet: packet(`[]`)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := appendEnvelope(nil, uid, "/", 0, &tt.m)
			if err != nil || hex.EncodeToString(got) != tt.want {
				t.Errorf("got  %x, %v\nwant %s", got, err, tt.want)
			}
			b, err := appendEnvelope(nil, "u", "/", 7, &tt.m)
			if err != nil {
				t.Fatal(err)
			}
			checkMessage(t, &tt.m, func() (*clusterMessage, error) {
				m, err := readEnvelope(b)
				if err == nil && m.after != 7 {
					t.Errorf("after is %d", m.after)
				}
				return m, err
			})
		})
	}
}

func TestSessionOfNode(t *testing.T) {
	sid, pid := strings.Repeat("S", 20), strings.Repeat("P", 20)
	// {sid, pid, rooms: [sid, "room1"], data: {user: 1}}
	text := base64.StdEncoding.EncodeToString([]byte(
		"\x84\xa3sid\xb4" + sid + "\xa3pid\xb4" + pid + "\xa5rooms\x92\xb4" + sid + "\xa5room1\xa4data\x81\xa4user\x01"))
	want := adapter.Session{SocketID: sid, PrivateID: pid, Rooms: []string{"room1"}, Data: json.RawMessage(`{"user":1}`)}
	got, floor, err := readSession(text)
	if err != nil || !reflect.DeepEqual(got, want) || floor != (streamID{}) {
		t.Errorf("%+v, %v, %v", got, floor, err)
	}
	b, err := appendSession(nil, &want, streamID{})
	if err != nil || base64.StdEncoding.EncodeToString(b) != text {
		t.Errorf("%x, %v", b, err)
	}
	b, err = appendSession(nil, &want, streamID{5, 6})
	if err != nil {
		t.Fatal(err)
	}
	if got, floor, err = readSession(base64.StdEncoding.EncodeToString(b)); err != nil || !reflect.DeepEqual(got, want) || floor != (streamID{5, 6}) {
		t.Errorf("%+v, %v, %v", got, floor, err)
	}
	for _, bad := range []string{"", "!", "gA==", "k5OT", base64.StdEncoding.EncodeToString([]byte("\xdf\xff\xff\xff\xff\xa3sid"))} {
		if got, _, err := readSession(bad); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
}

// The numbers are those that Node computes, but for the sign.
func TestStreamOfNamespace(t *testing.T) {
	c := streamConfig{name: "s", count: 4}
	for nsp, want := range map[string]int32{"/": 47, "/notifications": -1014064871, "/ü": 1709, "/😀": 1818066} {
		if got := streamHash(nsp); got != want {
			t.Errorf("hash of %q is %d, want %d", nsp, got, want)
		}
	}
	for nsp, want := range map[string]string{"/": "s-3", "/notifications": "s-1"} {
		if got := c.streamOf(nsp); got != want {
			t.Errorf("stream of %q is %s, want %s", nsp, got, want)
		}
	}
}

func TestAppendOffset(t *testing.T) {
	for in, want := range map[string]string{
		`["e"]`: `["e","1-2"]`, `["e",1] `: `["e",1,"1-2"]`, `[]`: `["1-2"]`, ` [ ] `: ` [ "1-2"]`,
	} {
		p := packet(in)
		if got := appendOffset(p, "1-2"); string(got.Args) != want || string(p.Args) != in {
			t.Errorf("%s becomes %s", in, got.Args)
		}
	}
}

// FuzzEntry checks that no entry panics, and that what is accepted holds valid
// JSON.
func FuzzEntry(f *testing.F) {
	for _, text := range []string{
		`{"packet":{"type":2,"data":["hello"]},"opts":{"rooms":["r1",2],"except":[],"flags":{"volatile":true}}}`,
		`gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA==`,
		`{"opts":{},"rooms":["x"]}`, `{"packet":["e"]}`, "", "{", "3f////8=", "k5M=",
	} {
		f.Add(text, "3")
		f.Add(text, "9")
	}
	f.Fuzz(func(t *testing.T, data, kind string) {
		in, err := (&streamItem{kind: kind, data: data}).message()
		if err != nil {
			return
		}
		if m, err := in.message(); err == nil && m != nil && m.Packet != nil {
			if p := appendOffset(m.Packet, "1-2"); !json.Valid(p.Args) {
				t.Fatalf("invalid JSON: %q", p.Args)
			}
		}
	})
}

// FuzzEntryOpts checks that what is found in passing is what is there.
func FuzzEntryOpts(f *testing.F) {
	for _, text := range []string{
		`{"packet":{"type":2,"data":["\\\"}",{"opts":1}]},"opts":{"rooms":["r1"]}}`, `{"opts":{},"requestId":"x"}`,
		` {"opts":{}}`, `{"opts":[] , "a" : -1.5e3 }`, `{"a":true,"opts":null}`, `{}`, `{"opts":1,"opts":2}`, "{", `{"`, `{"a"`, `{"a":`, `{"opts":]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		opts, ask, ok := entryOpts(text)
		var want map[string]json.RawMessage
		if !ok || json.Unmarshal([]byte(text), &want) != nil {
			return
		}
		if _, asks := want["requestId"]; opts != string(want["opts"]) && !strings.Contains(text, "\\") || asks != ask && !strings.Contains(text, "\\") {
			t.Fatalf("found %s, %v in %s", opts, ask, text)
		}
	})
}

// FuzzEnvelope checks the same for what comes by Pub/Sub.
func FuzzEnvelope(f *testing.F) {
	for _, text := range poison {
		f.Add(unhex(f, text))
	}
	for _, m := range []cluster.Message{
		{Type: cluster.Broadcast, RequestID: "q", Packet: packet(`["ping"]`)},
		{Type: cluster.FetchAnswer, RequestID: "q", Sockets: []adapter.SocketInfo{{ID: "a", Rooms: []string{"b"}}}},
		{Type: cluster.ServerSideEmitAnswer, RequestID: "q", Packet: packet(`["pong"]`)},
	} {
		b, err := appendEnvelope(nil, "u", "/", 1, &m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := readEnvelope(b)
		if err != nil {
			return
		}
		if m, err := in.message(); err == nil && m != nil && m.Packet != nil && !json.Valid(m.Packet.Args) {
			t.Fatalf("invalid JSON: %q", m.Packet.Args)
		}
	})
}

// FuzzSession checks that no session panics.
func FuzzSession(f *testing.F) {
	f.Add("gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA==")
	f.Add("hKNzaWShU6NwaWShUKVyb29tc5GhU6RkYXRhgaR1c2VyAQ==")
	f.Fuzz(func(t *testing.T, text string) {
		if s, _, err := readSession(text); err == nil && len(s.Data) > 0 && !json.Valid(s.Data) {
			t.Fatalf("invalid JSON: %q", s.Data)
		}
	})
}
