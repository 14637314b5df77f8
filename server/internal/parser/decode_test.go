package parser_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server/internal/parser"
)

// decoded is a packet in a form that can be compared.
type decoded struct {
	typ         parser.Type
	namespace   string
	id          uint64
	hasID       bool
	attachments int
	data        string
	name        string
	elements    string // joined by blanks
}

func flat(p *parser.Packet) decoded {
	var elements []string
	for _, span := range p.Elements {
		elements = append(elements, string(span.Of(p.Data)))
	}
	return decoded{p.Type, p.Namespace, p.ID, p.HasID, p.Attachments, string(p.Data), string(p.Name), strings.Join(elements, " ")}
}

func TestDecode(t *testing.T) {
	const (
		connect, disconnect, event = parser.Connect, parser.Disconnect, parser.Event
		ack, connectError          = parser.Ack, parser.ConnectError
	)
	tests := []struct {
		text string
		want decoded
	}{
		{`0`, decoded{typ: connect, namespace: "/"}},
		{`0{"token":"x"}`, decoded{typ: connect, namespace: "/", data: `{"token":"x"}`}},
		{`0{}`, decoded{typ: connect, namespace: "/", data: `{}`}},
		{`0/admin,`, decoded{typ: connect, namespace: "/admin"}},
		{`0/admin`, decoded{typ: connect, namespace: "/admin"}},
		{`0/admin,{"a":[1]}`, decoded{typ: connect, namespace: "/admin", data: `{"a":[1]}`}},
		{`0/admin?token=1&x=/,{"a":1}`, decoded{typ: connect, namespace: "/admin", data: `{"a":1}`}},
		{`0/admin?x=1`, decoded{typ: connect, namespace: "/admin"}},
		{`0/?x=1,`, decoded{typ: connect, namespace: "/"}},
		{`0/,`, decoded{typ: connect, namespace: "/"}},
		{`0/a/é,`, decoded{typ: connect, namespace: "/a/é"}},

		{`1`, decoded{typ: disconnect, namespace: "/"}},
		{`1/admin,`, decoded{typ: disconnect, namespace: "/admin"}},

		{`2["a"]`, decoded{typ: event, namespace: "/", data: `["a"]`, name: "a", elements: `"a"`}},
		{`2["error",{}]`, decoded{typ: event, namespace: "/", data: `["error",{}]`, name: "error", elements: `"error" {}`}},
		{`2[""]`, decoded{typ: event, namespace: "/", data: `[""]`, elements: `""`}},
		{`2["a",[1,"]"],{"b":","}]`, decoded{typ: event, namespace: "/", data: `["a",[1,"]"],{"b":","}]`, name: "a", elements: `"a" [1,"]"] {"b":","}`}},
		{`20["a"]`, decoded{typ: event, namespace: "/", id: 0, hasID: true, data: `["a"]`, name: "a", elements: `"a"`}},
		{`2/chat,12["a",1e400]`, decoded{typ: event, namespace: "/chat", id: 12, hasID: true, data: `["a",1e400]`, name: "a", elements: `"a" 1e400`}},
		{`29999999999999999999["a"]`, decoded{typ: event, namespace: "/", id: 9999999999999999999, hasID: true, data: `["a"]`, name: "a", elements: `"a"`}},
		{`2[1,"x"]`, decoded{typ: event, namespace: "/", data: `[1,"x"]`, name: "1", elements: `1 "x"`}},
		{`2[-1.5]`, decoded{typ: event, namespace: "/", data: `[-1.5]`, name: "-1.5", elements: `-1.5`}},
		{`2["\u0061\n\/\u00e9\ud83d\ude00"]`, decoded{typ: event, namespace: "/", data: `["\u0061\n\/\u00e9\ud83d\ude00"]`, name: "a\n/é😀", elements: `"\u0061\n\/\u00e9\ud83d\ude00"`}},
		{`2["\u0000"]`, decoded{typ: event, namespace: "/", data: `["\u0000"]`, name: "\x00", elements: `"\u0000"`}},
		{`2["a",{"_placeholder":true,"num":7}]`, decoded{typ: event, namespace: "/", data: `["a",{"_placeholder":true,"num":7}]`, name: "a", elements: `"a" {"_placeholder":true,"num":7}`}},
		{`2["a",{"__proto__":{"x":1},"k":1,"k":2}]`, decoded{typ: event, namespace: "/", data: `["a",{"__proto__":{"x":1},"k":1,"k":2}]`, name: "a", elements: `"a" {"__proto__":{"x":1},"k":1,"k":2}`}},

		{`30[]`, decoded{typ: ack, namespace: "/", hasID: true, data: `[]`}},
		{`3/admin,7[null, {}] `, decoded{typ: ack, namespace: "/admin", id: 7, hasID: true, data: `[null, {}] `, elements: `null {}`}},
		{`31["connect"]`, decoded{typ: ack, namespace: "/", id: 1, hasID: true, data: `["connect"]`, elements: `"connect"`}},

		{`4"Unable to connect"`, decoded{typ: connectError, namespace: "/", data: `"Unable to connect"`}},
		{`4/x,{"message":"no"}`, decoded{typ: connectError, namespace: "/x", data: `{"message":"no"}`}},

		{`51-["a",{"_placeholder":true,"num":0}]`, decoded{typ: event, namespace: "/", attachments: 1, data: `["a",{"_placeholder":true,"num":0}]`, name: "a", elements: `"a" {"_placeholder":true,"num":0}`}},
		{`510-/admin,3["a"]`, decoded{typ: event, namespace: "/admin", id: 3, hasID: true, attachments: 10, data: `["a"]`, name: "a", elements: `"a"`}},
		{`61-4[{"num":0,"_placeholder":true}]`, decoded{typ: ack, namespace: "/", id: 4, hasID: true, attachments: 1, data: `[{"num":0,"_placeholder":true}]`, elements: `{"num":0,"_placeholder":true}`}},
	}
	var p parser.Packet // reused, so that nothing of one packet may be left in the next
	for _, tt := range tests {
		if err := p.Decode([]byte(tt.text), parser.Limits{}); err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if got := flat(&p); got != tt.want {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.text, got, tt.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	texts := []string{
		// The header.
		``, ` `, `7`, `8["a"]`, `9`, `a`, "\x00", `-1`, ` 2["a"]`, `٢["a"]`,
		`2-1["a"]`, `21.5["a"]`, `2 ["a"]`, `2 1["a"]`, `21 ["a"]`, `2+1["a"]`, `2٣["a"]`,
		`200000000000000000001["a"]`, `299999999999999999999["a"]`,
		`2/admin["a"]`, `2admin,["a"]`, "0/a\xff,", "2/a\xff,[\"a\"]",
		`05`, `01{}`, `13`, `41"x"`,

		// Kinds of payloads.
		`0[]`, `0"x"`, `0null`, `0true`, `0 {}`, `0{`, `0{}x`, `0{}{}`, `0{"a"}`,
		`1{}`, `1[]`, `1"x"`, `1/admin,{}`, `1 `,
		`2`, `20`, `2/admin,`, `2{}`, `2"x"`, `2"abc"`, `2abc`, `2null`, `2[]`, `2[`, `2["a"`, `2["a",]`, `2["a"]]`, `2["a"]["b"]`, `2["a"],`,
		`2[null]`, `2[{}]`, `2[[]]`, `2[true]`, `2[["a"]]`, `2[undefined]`, `2['a']`,
		`3`, `3[]`, `3["a"]`, `3{}`, `30`, `30{}`, `30"x"`, `30null`, `3/admin,[]`,
		`4`, `4[]`, `4null`, `4/x,1`,

		// Reserved names, plain and escaped.
		`2["connect"]`, `2["connect_error"]`, `2["disconnect",1]`, `2["disconnecting"]`, `2["newListener"]`, `2["removeListener"]`,
		`2["\u0063onnect"]`, `51-["disconnect"]`,

		// Binary packets.
		`5`, `5-`, `5["a"]`, `5-["a"]`, `51["a"]`, `51`, `51-`, `5 1-["a"]`, `51 -["a"]`, `5 -["a"]`, `51e0-["a"]`, `5+1-["a"]`, `51.0-["a"]`, `5-1-["a"]`, `50x1-["a"]`,
		`50-["a"]`, `60-0["a"]`, `500-["a"]`, `60-`, `61-["a"]`, `5999999999999999999999999-["a"]`,
		`51-["a",{"_placeholder":true,"num":0}`,

		// JSON.
		`2["a",1e]`, `2["a",01]`, `2["a",.5]`, `2["a",NaN]`, `2["a\u12"]`, `2["\x"]`, "2[\"a\nb\"]", "2[\"a\x00b\"]", "2[\"\xff\"]", "2[\"\xed\xa0\x80\"]", "2[\"a\",\u00a01]",
	}
	var p parser.Packet
	for _, text := range texts {
		if err := p.Decode([]byte(text), parser.Limits{}); !errors.Is(err, parser.ErrParse) {
			t.Errorf("%q: error %v, packet %+v; want ErrParse", text, err, flat(&p))
		}
	}
}

func TestPlaceholders(t *testing.T) {
	legal := []string{
		`{"_placeholder":true,"num":0}`,
		`{ "num" : 1 , "_placeholder" : true }`,
		`[[{"a":{"_placeholder":true,"num":1}}],{"_placeholder":true,"num":1}]`,
		`{"\u005fplaceholder":true,"\u006eum":1}`,
		`{"_placeholder":true,"x":{"num":9},"num":1}`,
		`{"_placeholder":true,"num":9,"num":1}`,
		`{"_placeholder":true,"num":9,"_placeholder":false}`,
		`{"_placeholder":"true","num":9}`,
		`{"_placeholder":1}`,
		`{"_placeholder":[true],"num":9}`,
		`{"x":"_placeholder","num":-1}`,
		`"_placeholder"`,
	}
	illegal := []string{
		`{"_placeholder":true,"num":2}`,
		`{"_placeholder":true,"num":5}`,
		`{"_placeholder":true,"num":-1}`,
		`{"_placeholder":true,"num":-0}`,
		`{"_placeholder":true,"num":"0"}`,
		`{"_placeholder":true,"num":1.0}`,
		`{"_placeholder":true,"num":1e0}`,
		`{"_placeholder":true,"num":null}`,
		`{"_placeholder":true,"num":[0]}`,
		`{"_placeholder":true,"num":{"num":0}}`,
		`{"_placeholder":true,"num":99999999999999999999}`,
		`{"_placeholder":true,"num":18446744073709551617}`,
		`{"_placeholder":true}`,
		`{"num":"splice","_placeholder":true}`,
		`{"num":0,"num":"length","_placeholder":true}`,
		`{"\u005fplaceholder":true,"num":5}`,
		`{"_placeholder":true,"x":{"num":0}}`,
		`{"_placeholder":true,"x":{"_placeholder":true,"num":0}}`,
		`[{"a":[{"b":{"_placeholder":true,"num":2}}]}]`,
	}
	var p parser.Packet
	for _, arg := range legal {
		if err := p.Decode([]byte(`52-["a",`+arg+`]`), parser.Limits{}); err != nil {
			t.Errorf("%s: %v", arg, err)
		}
	}
	for _, arg := range illegal {
		err := p.Decode([]byte(`52-["a",`+arg+`]`), parser.Limits{})
		if !errors.Is(err, parser.ErrIllegalAttachments) || !errors.Is(err, parser.ErrParse) {
			t.Errorf("%s: error %v, want ErrIllegalAttachments", arg, err)
		}
		if err := p.Decode([]byte(`2["a",`+arg+`]`), parser.Limits{}); err != nil {
			t.Errorf("%s without attachments: %v", arg, err)
		}
	}
}

func TestLimits(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	event := func(depth int) string { return `2["a",` + nested(depth-1) + `]` }
	objects := `2["a",` + strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat("}", 100_000) + `]`
	tests := []struct {
		name   string
		text   string
		limits parser.Limits
		want   error
	}{
		{"default attachments", `510-["a"]`, parser.Limits{}, nil},
		{"one too many", `511-["a"]`, parser.Limits{}, parser.ErrTooManyAttachments},
		{"far too many", `5999999-["a"]`, parser.Limits{}, parser.ErrTooManyAttachments},
		{"19 digits", `59999999999999999999-["a"]`, parser.Limits{}, parser.ErrTooManyAttachments},
		{"own limit", `511-["a"]`, parser.Limits{MaxAttachments: 11}, nil},
		{"none allowed", `51-["a"]`, parser.Limits{MaxAttachments: -1}, parser.ErrTooManyAttachments},
		{"default depth", event(512), parser.Limits{}, nil},
		{"one too deep", event(513), parser.Limits{}, parser.ErrTooDeep},
		{"own depth", event(3), parser.Limits{MaxDepth: 3}, nil},
		{"own depth exceeded", event(4), parser.Limits{MaxDepth: 3}, parser.ErrTooDeep},
		{"deep beyond the usual", event(1000), parser.Limits{MaxDepth: 1000}, nil},
		{"arrays 100,000 deep", event(100_000), parser.Limits{}, parser.ErrTooDeep},
		{"objects 100,000 deep", objects, parser.Limits{}, parser.ErrTooDeep},
		{"open 100,000 deep", `2` + strings.Repeat("[", 100_000), parser.Limits{}, parser.ErrTooDeep},
	}
	var p parser.Packet
	for _, tt := range tests {
		err := p.Decode([]byte(tt.text), tt.limits)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		if err != nil && !errors.Is(err, parser.ErrParse) {
			t.Errorf("%s: error %v does not wrap ErrParse", tt.name, err)
		}
	}
}

// A string of ten megabytes is read where it stands, and without a copy.
func TestDecodeLongString(t *testing.T) {
	text := []byte(`2["a","` + strings.Repeat("x", 10<<20) + `"]`)
	var p parser.Packet
	if err := p.Decode(text, parser.Limits{}); err != nil {
		t.Fatal(err)
	}
	arg := p.Elements[1].Of(p.Data)
	if len(arg) != 10<<20+2 || &arg[0] != &text[len(`2["a",`)] {
		t.Errorf("the argument has %d bytes, or is a copy", len(arg))
	}
}

func TestErrorsHoldNothingOfThePeer(t *testing.T) {
	const canary = "CANARY"
	var p parser.Packet
	for _, format := range []string{`X`, `0/X`, `2/X,`, `2X`, `2["X`, `2["connect","X"]X`, `2[X]`, `3["X"]`, `5X-["a"]`, `51-["a",{"_placeholder":true,"num":"X"}]`, `1X`} {
		text := strings.ReplaceAll(format, "X", canary)
		err := p.Decode([]byte(text), parser.Limits{})
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: error %q repeats what the peer sent", text, err)
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, tt := range texts {
		text := []byte(tt.text)
		var room [4]parser.Span
		p := parser.Packet{Elements: room[:0]}
		allocs := testing.AllocsPerRun(100, func() {
			if err := p.Decode(text, parser.Limits{}); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", tt.name, allocs)
		}
	}
}

// Bad packets come in floods; refusing one costs nothing either.
func TestRefusalDoesNotAllocate(t *testing.T) {
	for _, text := range []string{`9`, `2{}`, `2["connect"]`, `5999999-["a"]`, `51-["a",{"_placeholder":true,"num":5}]`, `2["a"`} {
		input := []byte(text)
		var p parser.Packet
		p.Elements = make([]parser.Span, 0, 4)
		allocs := testing.AllocsPerRun(100, func() {
			if p.Decode(input, parser.Limits{}) == nil {
				t.Fatalf("%s was accepted", text)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", text, allocs)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, tt := range texts {
		f.Add([]byte(tt.text))
	}
	for _, text := range []string{``, `0/admin?x=1,{"a":1}`, `1/a,`, `30[]`, `4"x"`, `2/a,7["\ud800",1]`, `50-["a"]`, `2[-1e9]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var first, second parser.Packet
		if err := first.Decode(text, parser.Limits{}); err != nil {
			if !errors.Is(err, parser.ErrParse) {
				t.Fatalf("error %v does not wrap ErrParse", err)
			}
			return
		}
		if first.Namespace == "" || first.Namespace[0] != '/' {
			t.Fatalf("namespace %q", first.Namespace)
		}
		encoded := parser.AppendText(nil, &first)
		if err := second.Decode(encoded, parser.Limits{}); err != nil {
			t.Fatalf("%q was encoded as %q: %v", text, encoded, err)
		}
		if a, b := flat(&first), flat(&second); a != b {
			t.Fatalf("%+v\nbecame %+v", a, b)
		}
		if again := parser.AppendText(nil, &second); string(again) != string(encoded) {
			t.Fatalf("%q became %q", encoded, again)
		}
	})
}
