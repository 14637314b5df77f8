package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/roomspan/roomspan/server"
)

// hoarder keeps the JSON that it is decoded from, which it should copy.
type hoarder struct{ raw []byte }

func (h *hoarder) UnmarshalJSON(b []byte) error { h.raw = b; return nil }

type nested struct {
	List []any           `json:"list"`
	Raw  json.RawMessage `json:"raw"`
}

// sloppyJSON is a library whose texts share memory with what they were read from.
type sloppyJSON struct{}

func (sloppyJSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (sloppyJSON) Unmarshal(data []byte, v any) error {
	if h, ok := v.(*struct{ Raw json.RawMessage }); ok {
		h.Raw = data
		return nil
	}
	return json.Unmarshal(data, v)
}

// hoard has everything that a handler was given kept, with what it should be
// for ever.
type hoard struct {
	mu  sync.Mutex
	all []func() (got, want string)
}

func (h *hoard) add(f func() (got, want string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, f)
}

// What handlers were given stays as it is, while the memory of events serves
// later ones: of the same client and of others.
func TestWhatHandlersKeepDoesNotChange(t *testing.T) {
	const rounds = 300
	word := func(client, i int) string {
		// Shorter and longer than what has its place in the event.
		return fmt.Sprintf("%d-%d-%s", client, i, strings.Repeat(string(rune('a'+i%26)), 1+i*7%200))
	}
	for name, register := range map[string]func(n *node, h *hoard){
		"string": func(n *node, h *hoard) {
			server.On2(n.Server, "x", func(_ *server.Socket, got, want string) error {
				h.add(func() (string, string) { return got, string([]byte(want)) })
				return nil
			})
		},
		"any": func(n *node, h *hoard) {
			server.On2(n.Server, "x", func(_ *server.Socket, got any, raw json.RawMessage) error {
				h.add(func() (string, string) { return fmt.Sprintf("%q", got), string(raw) })
				return nil
			})
		},
		"own UnmarshalJSON": func(n *node, h *hoard) {
			server.On2(n.Server, "x", func(_ *server.Socket, got hoarder, want string) error {
				h.add(func() (string, string) { return string(got.raw), `"` + want + `"` })
				return nil
			})
		},
		"own UnmarshalJSON within": func(n *node, h *hoard) {
			server.On3(n.Server, "x", func(_ *server.Socket, _, want string, got map[string]*struct{ H hoarder }) error {
				h.add(func() (string, string) { return string(got["m"].H.raw), `"` + want + `"` })
				return nil
			})
		},
		"struct": func(n *node, h *hoard) {
			server.On3(n.Server, "x", func(_ *server.Socket, _, want string, got map[string]nested) error {
				h.add(func() (string, string) {
					m := got["m"]
					return fmt.Sprint(m.List[0], string(m.Raw)), want + `"` + want + `"`
				})
				return nil
			})
		},
		"reply": func(n *node, h *hoard) {
			server.Reply2(n.Server, "x", func(_ *server.Socket, got, want string) (string, error) {
				h.add(func() (string, string) { return got, want })
				return got, nil
			})
		},
		"once for each client": func(n *node, h *hoard) {
			n.OnConnection(func(s *server.Socket) {
				server.Once(s, "x", func(_ *server.Socket, got json.RawMessage) error {
					want := string(got)
					h.add(func() (string, string) { return string(got), want })
					return nil
				})
			})
		},
		"event": func(n *node, h *hoard) {
			server.On(n.Server, "x", func(*server.Socket, string) error { return nil })
			n.Handle("x", func(e *server.Event) error { h.keep(e); return nil })
		},
		"catch-all": func(n *node, h *hoard) {
			server.On(n.Server, "x", func(*server.Socket, string) error { return nil })
			n.OnAny(func(e *server.Event) error { h.keep(e); return nil })
		},
		"middleware": func(n *node, h *hoard) {
			server.On(n.Server, "x", func(*server.Socket, string) error { return nil })
			n.UseEvent(func(e *server.Event, next func() error) error { h.keep(e); return next() })
		},
		"event that panics": func(n *node, h *hoard) {
			server.On(n.Server, "x", func(*server.Socket, string) error { panic("typed") })
			n.Handle("x", func(e *server.Event) error { h.keep(e); panic("untyped") })
		},
		"nobody": func(*node, *hoard) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := new(hoard)
			n := start(t)
			register(n, h)
			server.On(n.Server, "end", func(*server.Socket, any) error { return nil })
			var wg sync.WaitGroup
			for client := range 4 {
				c, _ := join(t, n)
				wg.Go(func() {
					for i := range rounds {
						w := word(client, i)
						if i%10 == 9 { // let events be handled, and their memory be used again
							c.send(`421["end"]`)
							c.want(`31[]`)
						}
						c.send(fmt.Sprintf(`42["x","%s","%s",{"m":{"list":["%s"],"raw":"%s","h":"%s"}}]`, w, w, w, w, w))
					}
					c.send(`421["end"]`)
					c.want(`31[]`)
				})
			}
			wg.Wait()
			if len(h.all) == 0 && name != "nobody" {
				t.Fatal("no handler was called")
			}
			for i, f := range h.all {
				if got, want := f(); got != want {
					t.Fatalf("%d of %d: %.80q, want %.80q", i, len(h.all), got, want)
				}
			}
		})
	}
}

// keep keeps an event, and the texts of its arguments.
func (h *hoard) keep(e *server.Event) {
	texts := func() string {
		args, err := e.Args()
		return fmt.Sprint(e.Name(), args, err)
	}
	want := texts()
	h.add(func() (string, string) { return texts(), want })
}

// A JSON library need not copy what it is given.
func TestOtherJSONLibrariesMayKeepTheText(t *testing.T) {
	n := start(t, server.WithJSON(sloppyJSON{}))
	h := new(hoard)
	server.On(n.Server, "x", func(_ *server.Socket, got struct{ Raw json.RawMessage }) error {
		want := string(got.Raw)
		h.add(func() (string, string) { return string(got.Raw), want })
		return nil
	})
	c, _ := join(t, n)
	for i := range 300 {
		c.send(fmt.Sprintf(`421["x",{"n":%d}]`, i))
		c.want(`31[]`)
	}
	for _, f := range h.all {
		if got, want := f(); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

// wrapping is a Registrar of the program's own, which has the handlers of a
// namespace wrapped.
type wrapping struct {
	*server.Namespace
	kept []*server.Event
}

func (w *wrapping) Handle(event string, h func(*server.Event) error) (remove func()) {
	return w.Namespace.Handle(event, func(e *server.Event) error {
		w.kept = append(w.kept, e)
		return h(e)
	})
}

// Who registers by a Registrar that embeds one of the package's own gets what
// that does in Handle, for typed handlers, too.
func TestTypedHandlersOfAnotherRegistrar(t *testing.T) {
	n := start(t)
	w := &wrapping{Namespace: n.Namespace}
	server.On(w, "x", func(*server.Socket, int) error { return nil })
	c, _ := join(t, n)
	for i := range 100 {
		c.send(fmt.Sprintf(`421["x",%d]`, i))
		c.want("31[]")
	}
	if len(w.kept) != 100 {
		t.Fatalf("Handle wrapped %d events", len(w.kept))
	}
	for i, e := range w.kept {
		var got int
		if err := e.Decode(&got); err != nil || got != i {
			t.Errorf("event %d has become %d: %v", i, got, err)
		}
	}
}
