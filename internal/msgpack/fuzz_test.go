package msgpack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/internal/msgpack"
)

// FuzzAppendPacketData checks that whatever is accepted is well-formed
// msgpack, and that valid JSON comes back with the same meaning.
func FuzzAppendPacketData(f *testing.F) {
	for _, args := range []string{
		`[]`, `["hello",{"a":[1,2.5,-3e2],"b":null}]`, `["\ud83d\ude00\u0000\n"]`, `[[[[[[]]]]]]`,
		`[{"_placeholder":true,"num":0}]`, `[{"num":1,"_placeholder":true},1e400]`, `[18446744073709551616,-0]`, `[1,`, `["\`,
	} {
		f.Add([]byte(args), []byte{1, 2})
	}
	f.Fuzz(func(t *testing.T, args, attachment []byte) {
		p := &adapter.Packet{Args: args}
		if len(attachment) > 0 {
			p.Attachments = [][]byte{attachment, {}}
		}
		data, err := msgpack.AppendPacketData(nil, p)
		if err != nil {
			if json.Valid(args) && args[0] == '[' && !errors.Is(err, msgpack.ErrDepth) && !errors.Is(err, msgpack.ErrPlaceholder) {
				t.Fatalf("valid JSON refused: %v", err)
			}
			return
		}
		if rest, err := msgpack.Skip(data); err != nil || len(rest) > 0 {
			t.Fatalf("malformed: %x, %v, rest %x", data, err, rest)
		}
		if !json.Valid(args) || !utf8.Valid(args) {
			return
		}
		back, rest, err := msgpack.ReadPacketData(data)
		if err != nil || len(rest) > 0 {
			t.Fatalf("unreadable: %v", err)
		}
		if len(p.Attachments) == 0 && !sameJSON(args, back.Args) {
			t.Fatalf("%s became %s", args, back.Args)
		}
	})
}

// sameJSON says whether two texts mean the same to JavaScript. Numbers beyond
// its range compare equal to null.
func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil {
		return true
	}
	return json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// FuzzReadPacketData checks that whatever is accepted becomes valid JSON of
// bounded size, and goes back into msgpack and JSON unchanged.
func FuzzReadPacketData(f *testing.F) {
	for _, text := range []string{
		"90", "92a568656c6c6fa5776f726c64", "91c403010203", "91d6ff6553f100", "91d7ff1dcd65006553f100",
		"9183a474797065 02", "dc0002c0c0", "ddffffffff01", "9181 01 c0", "91cb7ff8000000000000", "91c70cff00000000ffffffffffffffff",
	} {
		f.Add(unhex(f, text))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		p, rest, err := msgpack.ReadPacketData(in)
		if err != nil {
			return
		}
		if end, err := msgpack.Skip(in); err != nil || !bytes.Equal(end, rest) {
			t.Fatalf("Skip disagrees: %x, %v", end, err)
		}
		if !json.Valid(p.Args) || !utf8.Valid(p.Args) {
			t.Fatalf("invalid JSON: %q", p.Args)
		}
		if len(p.Args) > 64*len(in)+64 {
			t.Fatalf("%d bytes became %d", len(in), len(p.Args))
		}
		data, err := msgpack.AppendPacketData(nil, p)
		if errors.Is(err, msgpack.ErrPlaceholder) {
			return // data of the sender that looks like a placeholder
		}
		if err != nil {
			t.Fatalf("%s refused: %v", p.Args, err)
		}
		again, _, err := msgpack.ReadPacketData(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Attachments) == len(p.Attachments) && !bytes.Equal(again.Args, p.Args) {
			t.Fatalf("%s became %s", p.Args, again.Args)
		}
	})
}

// FuzzAppendJSON checks the same for values that stand alone.
func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte{0x81, 0xa1, 0x61, 0xc4, 0x01, 0x07})
	f.Add([]byte{0xc1})
	f.Fuzz(func(t *testing.T, in []byte) {
		if out, _, err := msgpack.AppendJSON(nil, in); err == nil && !json.Valid(out) {
			t.Fatalf("invalid JSON: %q", out)
		}
		if text := msgpack.AppendString(nil, in); !json.Valid(text) {
			t.Fatalf("invalid string: %q", text)
		}
		_, _ = msgpack.FirstJSON(in)
		_, _, _ = msgpack.AppendFirst(nil, &adapter.Packet{Args: in, Attachments: [][]byte{in}})
	})
}

// FuzzAppendFilled checks that what is filled in leaves JSON what it is.
func FuzzAppendFilled(f *testing.F) {
	f.Add([]byte(`["e",{"_placeholder":true,"num":0},{"num":1,"_placeholder":true}]`))
	f.Add([]byte(`["\"{",{"_placeholder":true,"num":9},{"_placeholder":true}]`))
	f.Add([]byte(`["`))
	f.Fuzz(func(t *testing.T, in []byte) {
		filled := 0
		out := msgpack.AppendFilled(nil, &adapter.Packet{Args: in, Attachments: [][]byte{in, nil}}, func(dst, _ []byte) []byte {
			filled++
			return append(dst, "[null]"...)
		})
		if json.Valid(in) && !json.Valid(out) {
			t.Fatalf("%q became %q", in, out)
		}
		if filled == 0 && !bytes.Equal(in, out) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
