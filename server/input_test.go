package server_test

import (
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server"
)

// Each of these ends the connection that it comes from, with a parse error and
// without a handler having been called, and no other.
func TestBadInputClosesItsConnectionAlone(t *testing.T) {
	n := start(t, server.WithConnectTimeout(patience))
	n.Handle("x", func(*server.Event) error { t.Error("a handler was called"); return nil })
	n.Handle("", func(*server.Event) error { t.Error("a handler was called"); return nil })
	reasons := make(chan server.Reason, 1)
	other, _ := join(t, n)
	n.OnDisconnect(func(_ *server.Socket, r server.Reason) { reasons <- r })
	for _, packets := range [][]string{
		{`42{}`}, {`42"x"`}, {`42[]`}, {`42[null]`}, {`42[{}]`}, {`42[true]`}, {`42`}, {`42abc`}, {`42["x"`},
		{`42["connect"]`}, {`42["connect_error"]`}, {`42["disconnect"]`}, {`42["disconnecting"]`},
		{`42["newListener"]`}, {`42["removeListener"]`}, {`42["connec\u0074"]`},
		{`40[]`}, {`40"x"`}, {`41{}`}, {`43{}`}, {`43`}, {`43[]`}, {`49`}, {`4`}, {``}, {`9`},
		{`4212345678901234567890["x"]`}, {`42-1["x"]`}, {`421.5["x"]`}, {`42 ["x"]`}, {"42\u00a0[\"x\"]"},
		{`42["x",1e]`}, {`42["x",01]`}, {`42["x"]]`},
		{`42["x",` + strings.Repeat("[", 1e5) + strings.Repeat("]", 1e5) + `]`},
		{`451-["x"]`, `42["x"]`}, {`451-["x",{"_placeholder":true,"num":0}]`, `42["x"]`},
		{`4599999-["x"]`}, {`4511-["x"]`}, {`450-["x"]`}, {`45-["x"]`}, {`45["x"]`}, {`451["x"]`}, {`451e0-["x"]`},
		{`451-["x",{"_placeholder":true,"num":5}]`, "ba"}, {`451-["x",{"_placeholder":true,"num":-1}]`, "ba"},
		{`451-["x",{"_placeholder":true,"num":"0"}]`, "ba"}, {`451-["x",{"_placeholder":true}]`, "ba"},
		{"ba"}, {`451-["y",{"_placeholder":true,"num":0}]`, "ba", "bb"},
	} {
		name := strings.Join(packets, " ")
		t.Run(name[:min(len(name), 40)], func(t *testing.T) {
			c, _ := join(t, n)
			c.send(packets...)
			c.gone()
			if r := recv(t, reasons); r != server.ReasonParseError {
				t.Errorf("reason %q", r)
			}
			other.t = t
			must(t, n.Emit("undisturbed"))
			other.want(event("undisturbed"))
		})
	}
	if st := n.Stats(); st.Panics != 0 {
		t.Errorf("%d panics", st.Panics)
	}
}

func TestOddInputIsTaken(t *testing.T) {
	n := start(t)
	names := make(chan string, 1)
	for _, name := range []string{"error", "", "7", "-1.5e3", "__proto__", "\u0000", "\U0001f600"} {
		n.Handle(name, func(e *server.Event) error { names <- e.Name(); return nil })
	}
	c, _ := join(t, n)
	for _, tt := range []struct{ packet, name string }{
		{`42["error"]`, "error"},
		{`42[""]`, ""},
		{`42[7]`, "7"},
		{`42["7"]`, "7"},
		{`42[-1.5e3]`, "-1.5e3"},
		{`42["__proto__",{"__proto__":1,"a":1,"a":2}]`, "__proto__"},
		{`42["\u0000"]`, "\u0000"},
		{`42["\ud83d\ude00"]`, "\U0001f600"},
		{`42[ "error" , 1e400 ]`, "error"},
		{`42["error",{"_placeholder":true,"num":5}]`, "error"},
	} {
		c.send(tt.packet)
		if got := recv(t, names); got != tt.name {
			t.Errorf("%s: name %q", tt.packet, got)
		}
	}
}

func TestTooLongMessage(t *testing.T) {
	n := start(t, server.WithMaxPayload(100))
	c, _ := join(t, n)
	c.send(`42["x","` + strings.Repeat("x", 100) + `"]`)
	c.gone()
	p := poll(t, n)
	if _, status := p.post("40" + strings.Repeat(" ", 100)); status != 413 {
		t.Errorf("status %d", status)
	}
}
