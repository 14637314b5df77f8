package msgpack_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/internal/msgpack"
)

func TestReadPacketData(t *testing.T) {
	tests := []struct {
		name, hex, want string
		attachments     []string
	}{
		{"empty", "90", `[]`, nil},
		{"strings", "92 a568656c6c6f a5776f726c64", `["hello","world"]`, nil},
		{"constants", "94 01 c3 c0 c2", `[1,true,null,false]`, nil},
		{"integers", "97 7f cc80 cdffff ceffffffff cf0000000100000000 ff d3ffffffff7fffffff", `[127,128,65535,4294967295,4294967296,-1,-2147483649]`, nil},
		{"signed positive", "93 d07f d17fff d27fffffff", `[127,32767,2147483647]`, nil},
		{"largest", "91 cfffffffffffffffff", `[18446744073709551615]`, nil},
		{"floats", "95 cb3ff8000000000000 ca3fc00000 cb4415af1d78b58c40 cb3e7ad7f29abcaf48 cb8000000000000000", `[1.5,1.5,100000000000000000000,1e-07,0]`, nil},
		{"not a number", "93 cb7ff8000000000000 cb7ff0000000000000 caff800000", `[null,null,null]`, nil},
		{"long strings", "92 d90161 da000161", `["a","a"]`, nil},
		{"escapes", "91 a9 22 5c 2f 08 0c 0a 0d 09 01", `["\"\\/\b\f\n\r\t\u0001"]`, nil},
		{"utf-8", "92 a4f09f9880 a3e282ac", `["😀","€"]`, nil},
		{"not utf-8", "91 a6 61 ff c3 62 e282", "[\"a\ufffd\ufffdb\ufffd\ufffd\"]", nil},
		{"map", "91 82 a161 01 a162 80", `[{"a":1,"b":{}}]`, nil},
		{"integer keys", "91 83 01 c0 ff c0 cd0100 c0", `[{"1":null,"-1":null,"256":null}]`, nil},
		{"bin", "93 c403010203 81 a178 c50000 c600000001ff", `[{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":2}]`,
			[]string{"010203", "", "ff"}},
		{"date 32", "91 d6ff6553f100", `["2023-11-14T22:13:20.000Z"]`, nil},
		{"date 64", "91 d7ff 1dcd6500 6553f100", `["2023-11-14T22:13:20.125Z"]`, nil},
		{"date 96", "91 c70cff 00000000 ffffffffffffffff", `["1969-12-31T23:59:59.000Z"]`, nil},
		{"date of far years", "92 c70cff 00000000 0000003afff44180 c70cff 00000000 fffffff1868b8400", `["+010000-01-01T00:00:00.000Z","0000-01-01T00:00:00.000Z"]`, nil},
		{"date beyond", "92 c70cff 00000000 7fffffffffffffff d7ff ffffffffffffffff", `[null,null]`, nil},
		{"ArrayBuffers of notepack.io 2", "93 c70200 0102 c70000 c8000100 05",
			`[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]`, []string{"0102", "", "05"}},
		{"undefined and dates of notepack.io 2", "94 d40000 d700 0000018bcfe5687d d700 ffffffffffffffff d700 7fffffffffffffff",
			`[null,"2023-11-14T22:13:20.125Z","1969-12-31T23:59:59.999Z",null]`, nil},
		{"extensions", "93 d40100 c70005 d8030102030405060708090a0b0c0d0e0f10", `[null,null,null]`, nil},
		{"array 16 and 32", "dc0002 01 dd00000001 02", `[1,[2]]`, nil},
		{"map 16 and 32", "92 de0001 a16101 df00000001 a16101", `[{"a":1},{"a":1}]`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, rest, err := msgpack.ReadPacketData(append(unhex(t, tt.hex), 0xc1))
			if err != nil {
				t.Fatal(err)
			}
			if string(p.Args) != tt.want {
				t.Errorf("got  %s\nwant %s", p.Args, tt.want)
			}
			if !bytes.Equal(rest, []byte{0xc1}) {
				t.Errorf("rest %x", rest)
			}
			if len(p.Attachments) != len(tt.attachments) {
				t.Fatalf("%d attachments", len(p.Attachments))
			}
			for i, want := range tt.attachments {
				if !bytes.Equal(p.Attachments[i], unhex(t, want)) {
					t.Errorf("attachment %d: %x", i, p.Attachments[i])
				}
			}
		})
	}
}

func TestReadPacketDataErrors(t *testing.T) {
	tests := []struct {
		name, hex string
		want      error
	}{
		{"empty", "", msgpack.ErrFormat},
		{"no array", "01", msgpack.ErrFormat},
		{"never used byte", "91 c1", msgpack.ErrFormat},
		{"short array", "92 01", msgpack.ErrFormat},
		{"huge array", "dd ffffffff 01", msgpack.ErrFormat},
		{"huge map", "91 df ffffffff 01", msgpack.ErrFormat},
		{"huge string", "91 db ffffffff 61", msgpack.ErrFormat},
		{"huge bin", "91 c6 ffffffff 61", msgpack.ErrFormat},
		{"huge extension", "91 c9 ffffffff 01 61", msgpack.ErrFormat},
		{"short header", "dd ffff", msgpack.ErrFormat},
		{"short fixext", "91 d6ff00", msgpack.ErrFormat},
		{"array as key", "91 81 90 01", msgpack.ErrFormat},
		{"bin as key", "91 81 c40161 01", msgpack.ErrFormat},
		{"deep", strings.Repeat("91", 600) + "90", msgpack.ErrDepth},
		{"deeper", strings.Repeat("91", 1<<20) + "90", msgpack.ErrDepth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _, err := msgpack.ReadPacketData(unhex(t, tt.hex))
			if !errors.Is(err, tt.want) || p != nil {
				t.Errorf("got %v, %v; want %v", p, err, tt.want)
			}
		})
	}
}

func TestDeclaredSizesAllocateNothing(t *testing.T) {
	inputs := [][]byte{
		unhex(t, "dd ffffffff 01"), unhex(t, "91 df ffffffff 01"),
		unhex(t, "91 db ffffffff 61"), unhex(t, "91 c6 ffffffff 61"), unhex(t, "91 c9 ffffffff 01 61"),
	}
	n := testing.AllocsPerRun(100, func() {
		for _, in := range inputs {
			if _, _, err := msgpack.ReadPacketData(in); err == nil {
				t.Fatal("no error")
			}
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReadArgument(t *testing.T) {
	p, rest, err := msgpack.ReadArgument(unhex(t, "c40107 01"))
	if err != nil || string(p.Args) != `[{"_placeholder":true,"num":0}]` || len(p.Attachments) != 1 || len(rest) != 1 {
		t.Errorf("%v %x %v", p, rest, err)
	}
	if _, _, err := msgpack.ReadArgument(nil); err == nil {
		t.Error("no error for nothing")
	}
}

func TestReadBounded(t *testing.T) {
	in := unhex(t, "93 c40107 c70100 08 91 c400")
	p, rest, err := msgpack.ReadBounded(in, 3)
	if err != nil || len(p.Attachments) != 3 || len(rest) != 0 {
		t.Errorf("%v %x %v", p, rest, err)
	}
	for most := range 3 {
		if _, _, err := msgpack.ReadBounded(in, most); err != msgpack.ErrAttachments {
			t.Errorf("%d: %v", most, err)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	out, rest, err := msgpack.AppendJSON([]byte("x"), unhex(t, "82 a161 c40107 a162 01 c0"))
	if err != nil || string(out) != `x{"a":null,"b":1}` || len(rest) != 1 {
		t.Errorf("%s %x %v", out, rest, err)
	}
}

func TestAppendString(t *testing.T) {
	if got := msgpack.AppendString(nil, "a\"<\x00\xffé"); string(got) != "\"a\\\"<\\u0000\ufffdé\"" {
		t.Errorf("%s", got)
	}
}

func BenchmarkReadPacketData(b *testing.B) {
	benches := map[string]string{
		"small":  "92 ac63686174206d657373616765 d926" + strings.Repeat("61", 38),
		"object": "92 a6757064617465 84 a26964 ce0001e240 a474616773 92 a161 a162 a178 cb3ff4000000000000 a474657874 a6c3a9c3a90a61",
		"binary": "92 a56672616d65 c440" + strings.Repeat("00", 64),
	}
	for name, text := range benches {
		in := unhex(b, text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := msgpack.ReadPacketData(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSkip(b *testing.B) {
	in := unhex(b, "92 a6757064617465 84 a26964 ce0001e240 a474616773 92 a161 a162 a178 cb3ff4000000000000 a474657874 a6c3a9c3a90a61")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := msgpack.Skip(in); err != nil {
			b.Fatal(err)
		}
	}
}
