package args_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server/internal/args"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// elements returns the texts of the arguments of a packet, as the parser of a
// receiver finds them.
func elements(t *testing.T, text []byte, attachments int) (all [][]byte) {
	t.Helper()
	spans, err := parser.Scan(text, attachments, parser.Limits{MaxAttachments: attachments}, nil)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for _, s := range spans {
		all = append(all, s.Of(text))
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	a, b := []byte("one"), []byte{}
	for _, v := range []any{
		a, b, blob(a), [][]byte{a, b, nil}, [2][]byte{a, b}, map[string][]byte{"x": a, "y": b}, map[int]blob{1: a},
		[]any{a, "s", map[string]any{"k": b, "l": []any{1.5, nil, a}}}, map[string]any{"k": a},
		withBlob{Name: "n", Blob: blob(a), Ptr: &b, Any: []any{a, map[string]any{"b": b}}, Oct: []octet{1, 2}},
		&withBlob{Any: a}, embedding{&Embedded{a}, 2}, []*Embedded{{a}, nil, {b}}, tree{Value: a, Kids: []*tree{{Value: "x"}, {Value: b}}},
		struct {
			At   time.Time
			Meta any
			Blob []byte
		}{time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), map[string]any{"m": a}, b},
	} {
		p, err := args.Codec{}.EncodeEvent("e", []any{"first", v})
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		if len(p.Attachments) == 0 {
			t.Errorf("%T: no attachments", v)
		}
		raw := elements(t, p.Args, len(p.Attachments))[2]
		dst := reflect.New(reflect.TypeOf(v))
		if err := (args.Codec{}).Decode(raw, p.Attachments, dst.Interface()); err != nil {
			t.Errorf("%T: %v", v, err)
		} else if !reflect.DeepEqual(dst.Elem().Interface(), v) {
			t.Errorf("%T:\n got %+v\nwant %+v", v, dst.Elem(), v)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, raw := range []string{`{"_placeholder":true,"num":0}`, `[{"num":1,"_placeholder":true}]`, `{"a":{"_placeholder":true,"num":2}}`,
		`{"Blob":{"_placeholder":true,"num":0},"Meta":{"x":[{"_placeholder":true,"num":1}]},"Own":""}`, `"s\ud800"`, `[`, `{"a`, `{"a":{`, `-12`, `nul`, `"\"`} {
		f.Add([]byte(raw))
	}
	attachments := [][]byte{[]byte("a"), {}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, dst := range append(destinations(), new(mixed), new(withAny), new(withBoth), new([][]byte), new(opaque)) {
			err := (args.Codec{}).Decode(raw, attachments, dst)
			if err == nil && !json.Valid(raw) {
				t.Errorf("%q into %T: no error", raw, dst)
			}
		}
		if bytes.IndexByte(raw, '{') >= 0 {
			return
		}
		got, want := destinations(), destinations()
		for i := range got {
			compareDecode(t, string(raw), nil, got[i], want[i])
		}
	})
}

// What the parser lets through must have its placeholders replaced, all of them.
func FuzzPlaceholders(f *testing.F) {
	for _, raw := range []string{`[{"_placeholder":true,"num":0}]`, `[{"num":1,"_placeholder":true,"num":3}]`, `[{"_placeholder":true,"num":01}]`,
		`[{"_placeholder":true,"num":-0}]`, `[{"_placeholder":{"_placeholder":true},"num":1}]`, `[{"\u005fplaceholder":true}]`, `["{",{},[{"num":{}}]]`} {
		f.Add([]byte(raw))
	}
	attachments := [][]byte{make([]byte, 1), make([]byte, 1)}
	f.Fuzz(func(t *testing.T, raw []byte) {
		spans, err := parser.Scan(raw, len(attachments), parser.Limits{}, nil)
		if err != nil {
			return
		}
		for _, s := range spans {
			var dst any
			if err := (args.Codec{}).Decode(s.Of(raw), attachments, &dst); err != nil {
				if strings.Count(string(raw), "{") > 32 || strings.ContainsAny(string(raw), "eE") {
					continue // too many references, or a number out of range
				}
				t.Errorf("%q: %v", s.Of(raw), err)
			}
			if left(dst) {
				t.Errorf("%q: left %v", s.Of(raw), dst)
			}
		}
	})
}

// left reports whether a decoded value has a placeholder in it.
func left(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, left)
	case map[string]any:
		return v["_placeholder"] == true || slices.ContainsFunc(slices.Collect(maps.Values(v)), left)
	}
	return false
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "a", "\"\\/\b\f\n\r\t\x00\x7f", "<&>", "é😀\u2028\ufffd", "\xff\xed\xa0\x80", strings.Repeat("x", 70)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := args.Codec{}.EncodeArgs([]any{s})
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := standard([]any{s}); string(p.Args) != want {
			t.Errorf("%q: got %s, want %s", s, p.Args, want)
		}
		var back string
		if err := (args.Codec{}).Decode(p.Args[1:len(p.Args)-1], nil, &back); err != nil || back != valid(s) {
			t.Errorf("%q: back as %q, %v", s, back, err)
		}
	})
}

// valid replaces each byte that is not valid UTF-8, as encoding/json does.
func valid(s string) string { return string([]rune(s)) }

func FuzzFloat(f *testing.F) {
	for _, v := range []float64{0, -0.5, 1e-6, 9.99e-7, 1e21, 123456789, 1e-10, 1e300} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v float64) {
		for _, arg := range []any{v, float32(v)} {
			want, errWant := standard(arg)
			p, err := args.Codec{}.EncodeArgs([]any{arg})
			if (err == nil) != (errWant == nil) || err == nil && string(p.Args) != "["+want+"]" {
				t.Errorf("%v: got %v, %v, want %s", arg, p, err, want)
			}
		}
	})
}
