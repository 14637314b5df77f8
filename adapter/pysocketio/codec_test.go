package pysocketio

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// checkMessage holds that what a message turns into is well formed.
func checkMessage(t *testing.T, m *message) {
	t.Helper()
	for _, read := range []func() (*adapter.Packet, error){
		m.packet,
		func() (*adapter.Packet, error) { _, p, err := m.answer(); return p, err },
	} {
		if p, err := read(); err == nil {
			checkPacket(t, p)
		}
	}
	if ref, err := m.request(); err != nil || ref != "" && !json.Valid([]byte(ref[len(refPrefix):])) {
		t.Fatalf("reference %q, %v", ref, err)
	}
	if sel, err := m.selector(); err == nil && m.Room.set && len(sel.Rooms) == 0 {
		t.Fatal("a list of rooms that is everyone")
	}
	_, _, _ = m.socketAndRoom()
}

func checkPacket(t *testing.T, p *adapter.Packet) {
	t.Helper()
	var args []any
	if err := json.Unmarshal(p.Args, &args); err != nil {
		t.Fatalf("%q: %v", p.Args, err)
	}
	if len(p.Attachments) > 0 && checkPlaceholders(p.Args, len(p.Attachments)) != nil {
		t.Fatalf("placeholders of %q", p.Args)
	}
}

func FuzzMessage(f *testing.F) {
	for _, text := range []string{
		`{"method": "emit", "event": "bin", "data": [[{"a": {"_placeholder": true, "num": 0}}], "AQI="], "binary": true, "room": "r1", "skip_sid": "SID"}`,
		`{"method": "emit", "event": "q", "data": [1], "room": ["a", 2], "skip_sid": ["b"], "callback": ["SID", "/", 7], "host_id": "x"}`,
		`{"method": "callback", "host_id": "h", "sid": "SID", "namespace": "/", "id": 7, "args": ["pong"]}`,
		`{"method": "enter_room", "sid": "SID", "room": 5}`, `{"method":"emit","event":"e","data":null,"roomspan":{"args":1}}`,
		`{"method":"emit","event":"e","data":"x","binary":true}`, `{"method":"emit","event":"e","data":[{"_placeholder":true}],"binary":true}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for as := range layoutPickled + 1 {
			if m, err := readMessage(b, as); err == nil {
				checkMessage(t, m)
			}
		}
	})
}

func FuzzOwn(f *testing.F) {
	for _, m := range ownMessages {
		b, err := writeOwn("/", m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, nsp, err := readOwn(b)
		if err != nil {
			return
		}
		if m.Packet != nil {
			checkPacket(t, m.Packet)
		}
		text, err := writeOwn(nsp, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := readOwn(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}

var ownMessages = []*cluster.Message{
	{Type: cluster.Broadcast, Sender: "a", RequestID: "q", Timeout: time.Second, Flags: adapter.Flags{Volatile: true, NoCompress: true},
		Selector: adapter.Selector{Rooms: []string{"r"}, Except: []string{"x"}},
		Packet:   &adapter.Packet{Args: []byte(`["e",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}}},
	{Type: cluster.BroadcastCount, Sender: "a", To: "b", RequestID: "q", Count: 3},
	{Type: cluster.AddSockets, Sender: "a", Rooms: []string{"r"}},
	{Type: cluster.DisconnectSockets, Sender: "a", CloseConn: true},
	{Type: cluster.FetchAnswer, Sender: "a", To: "b", RequestID: "q", Sockets: []adapter.SocketInfo{{ID: "s", Handshake: []byte(`{}`), Rooms: []string{"s"}, Data: []byte(`{"a":1}`)}}},
	{Type: cluster.ServerSideEmit, Sender: "a", Packet: &adapter.Packet{Args: []byte(`["e"]`)}},
}

func TestOwnMessages(t *testing.T) {
	for _, m := range ownMessages {
		text, err := writeOwn("/x", m)
		if err != nil {
			t.Fatal(err)
		}
		got, nsp, err := readOwn(text)
		if err != nil || nsp != "/x" || !reflect.DeepEqual(got, m) {
			t.Errorf("%s\n%+v, %q, %v\nwant %+v", text, got, nsp, err, m)
		}
	}
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `{"from":"a","nsp":"/","type":"x"}`, `{"from":"a","type":"fetch"}`, `{"nsp":"/","type":"fetch"}`,
		`{"from":"a","nsp":"/","type":"broadcast","args":"x"}`, `{"from":"a","nsp":"/","type":"broadcast","args":[]}`,
		`{"from":"a","nsp":"/","type":"broadcast","args":[1]}`, `{"from":"a","nsp":"/","type":"event","args":[null]}`,
		`{"from":"a","nsp":"/","type":"broadcast","args":["e",{"_placeholder":true,"num":1}],"attachments":["AQ=="]}`,
	} {
		if m, _, err := readOwn([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, m)
		}
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		message, want string
		one           string // with a layout of one argument; "" if it is the same
	}{
		// From 5.15.1 on.
		{`{"data": ["world"]}`, `["e","world"]`, `["e",["world"]]`},
		{`{"data": [1, [2], {"a": null}]}`, `["e",1,[2],{"a":null}]`, `["e",[1,[2],{"a":null}]]`},
		{`{"data": [[1, 2]]}`, `["e",[1,2]]`, `["e",[[1,2]]]`},
		{`{"data": [null]}`, `["e"]`, `["e",[null]]`},
		{`{"data": [null, null]}`, `["e",null,null]`, `["e",[null,null]]`},
		{`{"data": []}`, `["e"]`, `["e",[]]`},
		{`{"data": [[{"a": {"_placeholder": true, "num": 0}}], "AQI="], "binary": true}`,
			`["e",{"a":{"_placeholder":true,"num":0}}]`, `["e",[{"a":{"_placeholder":true,"num":0}}]]`},
		// Before, and of minimal publishers.
		{`{"data": "world"}`, `["e","world"]`, ""},
		{`{"data": {"a": 1}}`, `["e",{"a":1}]`, ""},
		{`{"data": null}`, `["e"]`, ""},
		{`{"method": "emit"}`, `["e"]`, ""},
		{`{"data": [{"_placeholder": true, "num": 0}, "AQI="], "binary": true}`, `["e",{"_placeholder":true,"num":0}]`, ""},
		// Of Roomspan, in any layout.
		{`{"data": [1,2], "roomspan": {"args": 1}}`, `["e",[1,2]]`, ""},
		{`{"data": null, "roomspan": {"args": 1}}`, `["e",null]`, ""},
		{`{"data": null, "roomspan": {"args": 0}}`, `["e"]`, ""},
		{`{"data": [1,2], "roomspan": {"args": 2}}`, `["e",1,2]`, ""},
		{`{"data": [null], "roomspan": {}}`, `["e",null]`, ""},
	}
	for _, tt := range tests {
		for as, want := range map[layout]string{layoutAll: tt.want, layoutOne: cmp.Or(tt.one, tt.want), layoutPickled: cmp.Or(tt.one, tt.want)} {
			m, err := readMessage([]byte(`{"method": "emit", "event": "e", `+tt.message[1:]), as)
			if err != nil {
				t.Fatal(err)
			}
			p, err := m.packet()
			if err != nil || string(p.Args) != want {
				t.Errorf("%s: %s, %v, want %s", tt.message, p.Args, err, want)
			}
		}
	}
}

func TestAppendEmit(t *testing.T) {
	seven := uint64(7)
	binary := &adapter.Packet{Args: []byte(`["bin",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}}
	tests := []struct {
		name     string
		p        *adapter.Packet
		sel      adapter.Selector
		flags    adapter.Flags
		callback *uint64
		as       layout
		want     string // "" for what there is no form for
	}{
		{"all", &adapter.Packet{Args: []byte(`["hello","world"]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutAll,
			`{"method": "emit", "event": "hello", "data": ["world"], "binary": false, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "roomspan": {}, "host_id": "h"}`},
		{"binary", binary, adapter.Selector{Rooms: []string{"r1"}, Except: []string{"SID"}}, adapter.Flags{}, nil, layoutAll,
			`{"method": "emit", "event": "bin", "data": [[{"_placeholder":true,"num":0}], "AQI="], "binary": true, "namespace": "/", "room": "r1", "skip_sid": "SID", "callback": null, "roomspan": {}, "host_id": "h"}`},
		{"callback", &adapter.Packet{Args: []byte(`["q",1]`)}, adapter.Selector{Rooms: []string{"SID"}}, adapter.Flags{}, &seven, layoutAll,
			`{"method": "emit", "event": "q", "data": [1], "binary": false, "namespace": "/", "room": "SID", "skip_sid": null, "callback": ["SID", "/", 7], "roomspan": {}, "host_id": "h"}`},
		{"lists and flags", &adapter.Packet{Args: []byte(` [ "a\"b" ] `)}, adapter.Selector{Rooms: []string{"a", `b"`}, Except: []string{"c", "d"}}, adapter.Flags{Volatile: true, NoCompress: true}, nil, layoutAll,
			`{"method": "emit", "event": "a\"b", "data": [], "binary": false, "namespace": "/", "room": ["a", "b\""], "skip_sid": ["c", "d"], "callback": null, "roomspan": {"volatile":true,"nocompress":true}, "host_id": "h"}`},
		{"one, none", &adapter.Packet{Args: []byte(`["a"]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutOne,
			`{"method": "emit", "event": "a", "data": null, "binary": false, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "roomspan": {"args":0}, "host_id": "h"}`},
		{"one, one", &adapter.Packet{Args: []byte(`["a",[1]]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutOne,
			`{"method": "emit", "event": "a", "data": [1], "binary": false, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "roomspan": {"args":1}, "host_id": "h"}`},
		{"one, two", &adapter.Packet{Args: []byte(`["a",1,2]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutOne,
			`{"method": "emit", "event": "a", "data": [1,2], "binary": false, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "roomspan": {"args":2}, "host_id": "h"}`},
		{"one, binary", binary, adapter.Selector{}, adapter.Flags{}, nil, layoutOne,
			`{"method": "emit", "event": "bin", "data": [{"_placeholder":true,"num":0}, "AQI="], "binary": true, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "roomspan": {"args":1}, "host_id": "h"}`},
		{"pickled, two", &adapter.Packet{Args: []byte(`["a",1,2]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutPickled,
			`{"method": "emit", "event": "a", "data": [1,2], "binary": false, "namespace": "/", "room": null, "skip_sid": null, "callback": null, "roomspan": {"args":2}, "host_id": "h"}`},
		{"pickled, binary", binary, adapter.Selector{}, adapter.Flags{}, nil, layoutPickled, ""},
		{"no event", &adapter.Packet{Args: []byte(`[]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutAll, ""},
		{"event is no text", &adapter.Packet{Args: []byte(`[1]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutAll, ""},
	}
	for _, tt := range tests {
		got, ok := appendEmit(nil, "/", "h", tt.p, tt.sel, tt.flags, tt.callback, tt.as)
		if ok != (tt.want != "") || ok && string(got) != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, ok, got, tt.want)
		}
		if !ok {
			continue
		}
		m, err := readMessage(got, tt.as)
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.packet()
		if err != nil || !sameJSON(p.Args, tt.p.Args) || !slices.EqualFunc(p.Attachments, tt.p.Attachments, slices.Equal[[]byte]) {
			t.Errorf("%s: read as %v, %v", tt.name, p, err)
		}
	}
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func TestEcho(t *testing.T) {
	b := New("")
	own, _ := appendEmit(nil, "/", b.id+".mark", &adapter.Packet{Args: []byte(`["e"]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutAll)
	other, _ := appendEmit(nil, "/", "roomspan-other", &adapter.Packet{Args: []byte(`["e","\"host_id\": \"` + b.id + `"]`)}, adapter.Selector{}, adapter.Flags{}, nil, layoutAll)
	for text, want := range map[string]bool{
		string(own): true, string(other): false, "": false, emitStart + `"}`: false,
		`{"method": "callback", "host_id": "` + b.id + `"}`: false,
	} {
		if got := b.echo(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func BenchmarkEmit(b *testing.B) {
	p := &adapter.Packet{Args: []byte(`["chat:message",{"from":"somebody","text":"0123456789012345678901234567890123456789"}]`)}
	sel := adapter.Selector{Rooms: []string{"room"}, Except: []string{"01234567890123456789"}}
	dst, _ := appendEmit(nil, "/", "roomspan-0123456789ab", p, sel, adapter.Flags{}, nil, layoutAll)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst, _ = appendEmit(dst[:0], "/", "roomspan-0123456789ab", p, sel, adapter.Flags{}, nil, layoutAll)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m, err := readMessage(dst, layoutAll)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := m.packet(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
