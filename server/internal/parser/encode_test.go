package parser_test

import (
	"encoding/json"
	"testing"

	"github.com/roomspan/roomspan/server/internal/parser"
)

func TestAppendText(t *testing.T) {
	tests := []struct {
		packet parser.Packet
		want   string
	}{
		{parser.Packet{Type: parser.Connect, Namespace: "/"}, `0`},
		{parser.Packet{Type: parser.Connect}, `0`},
		{parser.Packet{Type: parser.Connect, Namespace: "/admin", Data: []byte(`{"a":1}`)}, `0/admin,{"a":1}`},
		{parser.Packet{Type: parser.Disconnect, Namespace: "/admin"}, `1/admin,`},
		{parser.Packet{Type: parser.Event, Data: []byte(`["a"]`)}, `2["a"]`},
		{parser.Packet{Type: parser.Event, HasID: true, Data: []byte(`["a"]`)}, `20["a"]`},
		{parser.Packet{Type: parser.Event, ID: 5, Data: []byte(`["a"]`)}, `2["a"]`},
		{parser.Packet{Type: parser.Event, Namespace: "/x", ID: 1<<64 - 1, HasID: true, Attachments: 12, Data: []byte(`["a"]`)}, `512-/x,18446744073709551615["a"]`},
		{parser.Packet{Type: parser.Ack, ID: 3, HasID: true, Data: []byte(`[]`)}, `33[]`},
		{parser.Packet{Type: parser.Ack, ID: 3, HasID: true, Attachments: 1, Data: []byte(`[{}]`)}, `61-3[{}]`},
	}
	for _, tt := range tests {
		if got := string(parser.AppendText([]byte("4"), &tt.packet)); got != "4"+tt.want {
			t.Errorf("got %s, want 4%s", got, tt.want)
		}
	}
}

func TestAppendConnect(t *testing.T) {
	tests := []struct{ namespace, sid, pid, want string }{
		{"/", "abc", "", `0{"sid":"abc"}`},
		{"/admin", "abc", "def", `0/admin,{"sid":"abc","pid":"def"}`},
		{"/", `a"b\c`, "\x1f\n<é", `0{"sid":"a\"b\\c","pid":"\u001f\u000a<é"}`},
	}
	for _, tt := range tests {
		if got := string(parser.AppendConnect(nil, tt.namespace, tt.sid, tt.pid)); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestAppendConnectError(t *testing.T) {
	tests := []struct{ namespace, message, data, want string }{
		{"/random", "Invalid namespace", "", `4/random,{"message":"Invalid namespace"}`},
		{"/", "no", `{"code":1}`, `4{"message":"no","data":{"code":1}}`},
		{"/", "a\xffb", "", `4{"message":"a` + "\ufffd" + `b"}`},
	}
	for _, tt := range tests {
		var data []byte
		if tt.data != "" {
			data = []byte(tt.data)
		}
		if got := string(parser.AppendConnectError(nil, tt.namespace, tt.message, data)); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// Every string survives being quoted, but for what is not valid UTF-8.
func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"", "abc", `"\/`, "\x00\x1f\x7f", "é\u2028😀", "\xff", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var p parser.Packet
		if err := p.Decode(parser.AppendConnect(nil, "/", s, ""), parser.Limits{}); err != nil {
			t.Fatal(err)
		}
		var got struct{ Sid string }
		if err := json.Unmarshal(p.Data, &got); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(s)); got.Sid != want {
			t.Fatalf("%q became %q", s, got.Sid)
		}
	})
}

func TestAppendTextDoesNotAllocate(t *testing.T) {
	p := parser.Packet{Type: parser.Event, Namespace: "/admin", ID: 7, HasID: true, Attachments: 2, Data: []byte(`["a"]`)}
	dst := make([]byte, 0, 64)
	if allocs := testing.AllocsPerRun(100, func() { dst = parser.AppendText(dst[:0], &p) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
