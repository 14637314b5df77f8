package servertest

import (
	"runtime/debug"

	"github.com/roomspan/roomspan/server/internal/args"
	"github.com/roomspan/roomspan/server/internal/parser"
)

// Handle registers a function for an event that the server sends, in place of
// the one before; its result answers the server if that asks for an
// acknowledgement. Such events are not seen by [Next] and [None]; those that
// came before and were not taken are handled at once. Functions run one at a
// time, in the order of the events, on a goroutine of the client; they may use
// the client. An argument that does not fit the type, a result that cannot be
// encoded, and a panic fail the test, and the server gets no answer.
func Handle[A, R any](c *Client, event string, h func(A) R) {
	c.handle(event, func(e *received) (any, error) {
		var a A
		if err := e.decode(1, &a); err != nil {
			return nil, err
		}
		return h(a), nil
	})
}

// handle registers a handler, and gives it what is in the inbox for it.
func (c *Client) handle(name string, h handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handlers[name] = h
	var others []*received
	for _, e := range c.inbox {
		if e.name == name {
			c.tasks = append(c.tasks, task{e, h})
		} else {
			others = append(others, e)
		}
	}
	c.inbox = others
	c.workLocked()
}

// handler returns the value that answers an event.
type handler func(*received) (any, error)

type task struct {
	event  *received
	handle handler
}

// workLocked starts the goroutine of the handlers if there is something to do.
func (c *Client) workLocked() {
	if !c.working && len(c.tasks) > 0 {
		c.working = true
		go c.work()
	}
}

// work runs handlers until nothing is left for them.
func (c *Client) work() {
	idle := false
	defer func() {
		if !idle {
			go c.work() // a handler ended its goroutine, as FailNow of a test does
		}
	}()
	for {
		c.mu.Lock()
		if len(c.tasks) == 0 {
			c.working = false
			c.changedLocked()
			c.mu.Unlock()
			idle = true
			return
		}
		t := c.tasks[0]
		c.tasks[0] = task{}
		c.tasks = c.tasks[1:]
		c.mu.Unlock()
		c.answer(t)
	}
}

// answer runs a handler and sends its result.
func (c *Client) answer(t task) {
	defer func() {
		if v := recover(); v != nil {
			c.t.Errorf("servertest: panic in the function for event %q: %v\n%s", t.event.name, v, debug.Stack())
		}
	}()
	v, err := t.handle(t.event)
	if err == nil && t.event.asks {
		err = c.acknowledge(t.event.id, v)
	}
	if err != nil {
		c.t.Errorf("servertest: event %q: %v; got %s", t.event.name, err, t.event)
	}
}

// acknowledge answers the server. That the client is disconnected by now is no
// failure.
func (c *Client) acknowledge(id uint64, v any) error {
	p, err := args.Codec{}.EncodeArgs([]any{v})
	if err != nil {
		return err
	}
	_ = c.send(&parser.Packet{
		Type: parser.Ack, ID: id, HasID: true, Attachments: len(p.Attachments), Data: p.Args,
	}, p.Attachments)
	return nil
}
