package servertest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// Call sends an event, waits for its acknowledgement and returns the first
// value of that, the zero value if there is none. It ends the test for every
// error of [TryCall].
//
// Handlers of [server.On] answer with an empty acknowledgement: Call[any] tells
// that they have returned.
func Call[R any](t testing.TB, c *Client, event string, args ...any) R {
	t.Helper()
	r, err := TryCall[R](c, event, args...)
	if err != nil {
		t.Fatalf("servertest: call %q: %v", event, err)
	}
	return r
}

// TryCall is [Call] for an event that may fail. Errors: a *[server.ClientError]
// with the text, if the answer is {"error": text}, which is how handlers
// answer that fail; a *[server.DecodeError]; [server.ErrAckTimeout];
// [server.ErrDisconnected]; [server.ErrReservedEvent]; an argument that cannot
// be encoded.
func TryCall[R any](c *Client, event string, args ...any) (R, error) {
	var r R
	answer, err := c.ask(event, args)
	if err == nil {
		err = answer.failure()
	}
	if err == nil {
		err = answer.decode(0, &r)
	}
	return r, err
}

// ask sends an event and waits for its acknowledgement.
func (c *Client) ask(event string, args []any) (answer *values, err error) {
	c.mu.Lock()
	c.asked++
	id := c.asked
	c.answers[id] = nil
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.answers, id)
		c.mu.Unlock()
	}()
	if err := c.emit(&parser.Packet{Type: parser.Event, ID: id, HasID: true}, event, args); err != nil {
		return nil, err
	}
	ok := c.await(func() bool { answer = c.answers[id]; return answer != nil || c.reason != "" })
	switch {
	case !ok:
		return nil, server.ErrAckTimeout
	case answer == nil:
		return nil, server.ErrDisconnected
	}
	return answer, nil
}

// failure returns the error that an answer stands for.
func (v *values) failure() error {
	if len(v.spans) != 1 {
		return nil
	}
	var object map[string]any
	if json.Unmarshal(v.spans[0].Of(v.data), &object) != nil || len(object) != 1 {
		return nil
	}
	if text, ok := object["error"].(string); ok {
		return &server.ClientError{Message: text}
	}
	return nil
}

// Next waits for an event of that name and returns its first argument, the
// zero value if there is none. Each event is taken once, the oldest first;
// those of other names stay. It ends the test if the event does not come, or
// its argument does not fit the type.
func Next[T any](t testing.TB, c *Client, event string) T {
	t.Helper()
	var v T
	NextArgs(t, c, event, &v)
	return v
}

// NextArgs is [Next] for an event with any number of arguments: it stores them
// in what the pointers point to. Where there are fewer arguments than
// pointers, the rest is left alone; further arguments are ignored.
func NextArgs(t testing.TB, c *Client, event string, dst ...any) {
	t.Helper()
	e, err := c.take(event)
	if err != nil {
		t.Fatalf("servertest: no event %q: %v", event, err)
	}
	if err := e.decode(1, dst...); err != nil {
		t.Fatalf("servertest: event %q: %v; got %s", event, err, e)
	}
}

// take waits for an event and takes it out of the inbox.
func (c *Client) take(name string) (e *received, err error) {
	ok := c.await(func() bool {
		i := slices.IndexFunc(c.inbox, func(e *received) bool { return e.name == name })
		if i >= 0 {
			e = c.inbox[i]
			c.inbox = slices.Delete(c.inbox, i, i+1)
		}
		return e != nil || c.reason != ""
	})
	if e != nil {
		return e, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	why := fmt.Sprintf("disconnected (%s)", c.reason)
	if !ok {
		why = fmt.Sprintf("none came within %v", c.timeout)
	}
	return nil, fmt.Errorf("%s; not taken: %s", why, list(c.inbox))
}

// None ends the test if an event of one of the names has come that was not
// taken; without names, if any has come. It does not guess how long to wait:
// what this node had emitted to the client before the call has come when it
// looks. So after a [Call] whose handler emits to others, None on those proves
// that they were left out. What other nodes of a cluster emit may come later.
func None(t testing.TB, c *Client, events ...string) {
	t.Helper()
	if !c.fence() {
		t.Fatalf("servertest: the server did not answer a ping within %v", c.timeout)
	}
	c.mu.Lock()
	var came []*received
	for _, e := range c.inbox {
		if len(events) == 0 || slices.Contains(events, e.name) {
			came = append(came, e)
		}
	}
	c.mu.Unlock()
	if len(came) > 0 {
		t.Fatalf("servertest: want no event; got %s", list(came))
	}
}
