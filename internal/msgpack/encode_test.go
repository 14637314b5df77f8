package msgpack_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/internal/msgpack"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAppendPacketData(t *testing.T) {
	bin := [][]byte{{1, 2, 3}, {}}
	tests := []struct {
		name, args, want string
		attachments      [][]byte
	}{
		{"empty", `[]`, "90", nil},
		{"strings", `["hello","world"]`, "92 a568656c6c6f a5776f726c64", nil},
		{"white space", " [ \"a\" ,\t{ \"b\" : [ ] }\r\n] ", "92 a161 81 a162 90", nil},
		{"constants", `["args",1,true,null,false]`, "95 a461726773 01 c3 c0 c2", nil},
		{"unsigned", `[0,127,128,255,256,65535,65536,4294967295]`, "98 00 7f cc80 ccff cd0100 cdffff ce00010000 ceffffffff", nil},
		{"wide", `[4294967296,18446744073709551615]`, "92 cf0000000100000000 cfffffffffffffffff", nil},
		{"negative", `[-1,-32,-33,-128,-129,-32769,-2147483649]`, "97 ff e0 d0df d080 d1ff7f d2ffff7fff d3ffffffff7fffffff", nil},
		{"lowest", `[-9223372036854775808]`, "91 d38000000000000000", nil},
		{"integer values", `[1.0,1e3,-0,-0.0,12.5e1]`, "95 01 cd03e8 00 00 7d", nil},
		{"floats", `[1.5,1e400,36893488147419103232]`, "93 cb3ff8000000000000 cb7ff0000000000000 cb4400000000000000", nil},
		{"escapes", `["\"\\\/\b\f\n\r\t\u0041\u00e9"]`, "91 ab 22 5c 2f 08 0c 0a 0d 09 41 c3a9", nil},
		{"surrogates", `["\ud83d\ude00","\ud83d","\ude00x","\ud83d\u0041"]`, "94 a4f09f9880 a3efbfbd a4efbfbd78 a4efbfbd41", nil},
		{"long string", `["` + strings.Repeat("x", 32) + `"]`, "91 d920" + strings.Repeat("78", 32), nil},
		{"escaped at the bound", `["` + strings.Repeat("x", 31) + `\n"]`, "91 d920" + strings.Repeat("78", 31) + "0a", nil},
		{"escaped shrinks", `["` + strings.Repeat("x", 30) + `\n"]`, "91 bf" + strings.Repeat("78", 30) + "0a", nil},
		{"bin", `["bin",{"_placeholder":true,"num":0}]`, "92 a362696e c403010203", bin},
		{"bin, other order", `[{ "num" : 1 , "_placeholder" : true }]`, "91 c400", bin},
		{"bin twice", `[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`, "92 c403010203 c403010203", bin},
		{"placeholder is data without attachments", `[{"_placeholder":true,"num":0}]`, "91 82 ac5f706c616365686f6c646572 c3 a36e756d 00", nil},
		{"no placeholder", `[{"_placeholder":true,"num":0,"x":1},{"num":1},{"_placeholder":false,"num":1}]`,
			"93 83 ac5f706c616365686f6c646572 c3 a36e756d 00 a178 01 81 a36e756d 01 82 ac5f706c616365686f6c646572 c2 a36e756d 01", bin},
		{"array of 16", `[` + strings.Repeat("1,", 15) + `1]`, "dc0010" + strings.Repeat("01", 16), nil},
		{"array of 65536", `[` + strings.Repeat("1,", 65535) + `1]`, "dd00010000" + strings.Repeat("01", 65536), nil},
		{"map of 16", `[{` + strings.Repeat(`"a":1,`, 15) + `"a":1}]`, "91 de0010" + strings.Repeat("a16101", 16), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &adapter.Packet{Args: []byte(tt.args), Attachments: tt.attachments}
			got, err := msgpack.AppendPacketData([]byte("x"), p)
			if err != nil {
				t.Fatal(err)
			}
			if want := append([]byte("x"), unhex(t, tt.want)...); !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
		})
	}
}

func TestAppendPacketDataErrors(t *testing.T) {
	tests := []struct {
		name, args string
		want       error
	}{
		{"empty", ``, msgpack.ErrJSON},
		{"no array", `{"a":1}`, msgpack.ErrJSON},
		{"more", `[] []`, msgpack.ErrJSON},
		{"open array", `[1`, msgpack.ErrJSON},
		{"open object", `[{"a":1`, msgpack.ErrJSON},
		{"open string", `["a`, msgpack.ErrJSON},
		{"open escape", `["a\`, msgpack.ErrJSON},
		{"bad escape", `["\x"]`, msgpack.ErrJSON},
		{"bad unicode", `["\u12"]`, msgpack.ErrJSON},
		{"bad key", `[{1:2}]`, msgpack.ErrJSON},
		{"no colon", `[{"a" 1}]`, msgpack.ErrJSON},
		{"comma", `[1,]`, msgpack.ErrJSON},
		{"word", `[tru]`, msgpack.ErrJSON},
		{"number", `[-]`, msgpack.ErrJSON},
		{"number with two points", `[1.2.3]`, msgpack.ErrJSON},
		{"no attachment", `[{"_placeholder":true,"num":1}]`, msgpack.ErrPlaceholder},
		{"deep", strings.Repeat("[", 600) + strings.Repeat("]", 600), msgpack.ErrDepth},
		{"deep and open", strings.Repeat(`[{"a":`, 100_000), msgpack.ErrDepth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &adapter.Packet{Args: []byte(tt.args), Attachments: [][]byte{{1}}}
			got, err := msgpack.AppendPacketData([]byte("x"), p)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if string(got) != "x" {
				t.Errorf("returned %q", got)
			}
		})
	}
}

func TestFirst(t *testing.T) {
	tests := []struct {
		args, json, hex string
		ok              bool
	}{
		{`[]`, ``, "", false},
		{` [ ] `, ``, "", false},
		{`["pong"]`, `"pong"`, "a4706f6e67", true},
		{` [ {"a":[1,"],"]} , 2]`, `{"a":[1,"],"]}`, "81a1619201a25d2c", true},
		{`[null]`, `null`, "c0", true},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			text, ok := msgpack.FirstJSON([]byte(tt.args))
			if ok != tt.ok || string(text) != tt.json {
				t.Errorf("FirstJSON: %q %v", text, ok)
			}
			data, ok, err := msgpack.AppendFirst(nil, &adapter.Packet{Args: []byte(tt.args)})
			if err != nil || ok != tt.ok || !bytes.Equal(data, unhex(t, tt.hex)) {
				t.Errorf("AppendFirst: %x %v %v", data, ok, err)
			}
		})
	}
	for _, args := range []string{``, `1`, `[`, `["`, `["\`, `{"a":1}`} {
		if text, ok := msgpack.FirstJSON([]byte(args)); ok {
			t.Errorf("FirstJSON(%q) = %q", args, text)
		}
		if _, ok, err := msgpack.AppendFirst(nil, &adapter.Packet{Args: []byte(args)}); ok || err == nil {
			t.Errorf("AppendFirst(%q) gave no error", args)
		}
	}
}

func BenchmarkAppendPacketData(b *testing.B) {
	benches := map[string]*adapter.Packet{
		"small":  {Args: []byte(`["chat message","hello, this is a message of some 64 bytes, more or less"]`)},
		"object": {Args: []byte(`["update",{"id":123456,"name":"someone","tags":["a","b"],"x":1.25,"text":"line\none \u00e9"}]`)},
		"binary": {Args: []byte(`["frame",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{make([]byte, 1024)}},
	}
	for name, p := range benches {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]byte, 0, 2048)
			for b.Loop() {
				if _, err := msgpack.AppendPacketData(dst, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
