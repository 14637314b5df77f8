package msgpack_test

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"go.uber.org/goleak"

	"github.com/roomspan/roomspan/server/parser"
	"github.com/roomspan/roomspan/server/parser/msgpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var packets = []struct {
	name   string
	packet parser.Packet
}{
	{"connect", parser.Packet{Type: parser.Connect, Namespace: "/"}},
	{"connect with auth", parser.Packet{Type: parser.Connect, Namespace: "/a", Data: []byte(`{"token":"x"}`)}},
	{"disconnect", parser.Packet{Type: parser.Disconnect, Namespace: "/a"}},
	{"event", parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["e",1,-1,1.5,"ü",null,true,{"a":[]}]`)}},
	{"event with ack", parser.Packet{Type: parser.Event, Namespace: "/", HasID: true, ID: 1 << 40, Data: []byte(`["e"]`)}},
	{"ack", parser.Packet{Type: parser.Ack, Namespace: "/", HasID: true, Data: []byte(`[]`)}},
	{"binary", parser.Packet{Type: parser.Event, Namespace: "/", Attachments: [][]byte{{1, 2}, {}},
		Data: []byte(`["e",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]`)}},
	{"connect error", parser.Packet{Type: parser.ConnectError, Namespace: "/", Data: []byte(`{"message":"no"}`)}},
}

func TestPacketsComeBack(t *testing.T) {
	p := msgpack.New()
	d := p.NewDecoder(10)
	for _, tt := range packets {
		t.Run(tt.name, func(t *testing.T) {
			messages, err := p.Encode(&tt.packet)
			if err != nil || len(messages) != 1 || !messages[0].Binary {
				t.Fatalf("encoded %v: %v", messages, err)
			}
			got, err := d.Add(messages[0])
			if err != nil || !reflect.DeepEqual(*got, tt.packet) {
				t.Errorf("%+v: %v", got, err)
			}
		})
	}
}

// What socket.io-msgpack-parser 3.0.2 makes of packets, by notepack.io 3.
func TestBytesOfJavaScript(t *testing.T) {
	d := msgpack.New().NewDecoder(10)
	for _, tt := range []struct {
		name, bytes string
		want        parser.Packet
	}{
		{"connect, data undefined", "\x83\xa4type\x00\xa3nsp\xa1/\xa4data\xd4\x00\x00", parser.Packet{Namespace: "/"}},
		{"event with options", "\x84\xa4type\x02\xa4data\x92\xa1e\x01\xa7options\x81\xa8compress\xc3\xa3nsp\xa1/",
			parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["e",1]`)}},
		{"id undefined", "\x84\xa4type\x02\xa2id\xd4\x00\x00\xa4data\x91\xa1e\xa3nsp\xa1/",
			parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["e"]`)}},
		{"undefined argument", "\x83\xa4type\x02\xa4data\x92\xa1e\xd4\x00\x00\xa3nsp\xa1/",
			parser.Packet{Type: parser.Event, Namespace: "/", Data: []byte(`["e",null]`)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := d.Add(parser.Message{Data: []byte(tt.bytes), Binary: true})
			if err != nil || !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("%+v: %v", got, err)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	d := msgpack.New().NewDecoder(10)
	for name, b := range map[string]string{
		"empty":               "",
		"no map":              "\x91\x01",
		"no type":             "\x81\xa3nsp\xa1/",
		"type too large":      "\x81\xa4type\xcd\x01\x00",
		"type is text":        "\x81\xa4type\xa10",
		"type is undefined":   "\x82\xa4type\xd4\x00\x00\xa3nsp\xa1/",
		"type is nil":         "\x82\xa4type\xc0\xa3nsp\xa1/",
		"namespace is number": "\x82\xa4type\x00\xa3nsp\x01",
		"negative id":         "\x82\xa4type\x00\xa2id\xff",
		"key is number":       "\x81\x01\x01",
		"cut":                 "\x82\xa4type\x02\xa4data\x92\xa1e",
		"behind the end":      "\x81\xa4type\x01\x01",
		"lying length":        "\x82\xa4type\x02\xa4data\xdd\xff\xff\xff\xff",
		"lying map":           "\xdf\xff\xff\xff\xff\xa4type\x02",
		"deep":                "\x82\xa4type\x02\xa4data" + string(bytes.Repeat([]byte{0x91}, 100_000)) + "\x01",
	} {
		if p, err := d.Add(parser.Message{Data: []byte(b), Binary: true}); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if _, err := d.Add(parser.Message{Data: []byte("0")}); err == nil {
		t.Error("text was taken")
	}
}

// Half a million empty attachments fit into a megabyte, and would be 150 of
// placeholders and slices.
func TestManyAttachmentsAreNotGathered(t *testing.T) {
	const count = 500_000
	b := append([]byte("\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd"), 0, 0x07, 0xa1, 0x20)
	b = append(b, bytes.Repeat([]byte("\xc4\x00"), count)...)
	d := msgpack.New().NewDecoder(10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := d.Add(parser.Message{Data: b, Binary: true})
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Error("no error")
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 4*uint64(len(b)) {
		t.Errorf("%d bytes were allocated for %d", n, len(b))
	}
}

// The message is the caller's again when Add has returned.
func TestPacketsDoNotAliasTheMessage(t *testing.T) {
	m, err := msgpack.New().Encode(&packets[6].packet)
	if err != nil {
		t.Fatal(err)
	}
	got, err := msgpack.New().NewDecoder(10).Add(m[0])
	if err != nil {
		t.Fatal(err)
	}
	clear(m[0].Data)
	if !reflect.DeepEqual(*got, packets[6].packet) {
		t.Errorf("%+v", got)
	}
}

func TestEncodeRefusesWhatIsNoJSON(t *testing.T) {
	for _, data := range []string{"", "{", `["e"`, `{"a":}`} {
		for _, typ := range []parser.Type{parser.Event, parser.Connect} {
			if m, err := msgpack.New().Encode(&parser.Packet{Type: typ, Namespace: "/", Data: []byte(data)}); err == nil {
				t.Errorf("%q as type %d: %v", data, typ, m)
			}
		}
	}
}

func FuzzAdd(f *testing.F) {
	p := msgpack.New()
	for _, tt := range packets {
		m, err := p.Encode(&tt.packet)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m[0].Data)
	}
	f.Add(msgp.AppendMapHeader(nil, 1<<31))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := p.NewDecoder(10).Add(parser.Message{Data: b, Binary: true})
		if err != nil {
			return
		}
		messages, err := p.Encode(got)
		if err != nil {
			return // a type that has no such payload: the server refuses it
		}
		again, err := p.NewDecoder(10).Add(messages[0])
		if err != nil || again.Type != got.Type || again.Namespace != got.Namespace || !bytes.Equal(again.Data, got.Data) {
			t.Errorf("%q came back as %+v: %v", b, again, err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	p := msgpack.New()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Encode(&packets[3].packet); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	p := msgpack.New()
	m, err := p.Encode(&packets[3].packet)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.NewDecoder(10).Add(m[0]); err != nil {
			b.Fatal(err)
		}
	}
}
