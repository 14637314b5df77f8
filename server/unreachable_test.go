package server_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server"
)

// alone does everything on this node, and reaches no other.
type alone struct{ adapter.Recoverer }

func (alone) fail(sel adapter.Selector, err error) error {
	if err == nil && !sel.Local {
		err = fmt.Errorf("bus: %w", adapter.ErrUnreachable)
	}
	return err
}

func (a alone) Broadcast(p *adapter.Packet, sel adapter.Selector, flags adapter.Flags) error {
	return a.fail(sel, a.Recoverer.Broadcast(p, sel, flags))
}

func (a alone) AddSockets(sel adapter.Selector, rooms []string) error {
	return a.fail(sel, a.Recoverer.AddSockets(sel, rooms))
}

func (a alone) ServerSideEmit(p *adapter.Packet) error {
	return a.fail(adapter.Selector{}, a.Recoverer.ServerSideEmit(p))
}

// An adapter that fails fast says so through Emit, and a client of this node
// gets the event. What is for a client of this node alone does not fail.
func TestUnreachable(t *testing.T) {
	n := start(t, recovering, server.WithAdapter(lossy{adapter.Memory(),
		func(r adapter.Recoverer) adapter.Adapter { return alone{r} }}))
	sockets := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	g := visit(t, n, nil)
	s := recv(t, sockets)
	for what, err := range map[string]error{
		"Emit":           n.Emit("a"),
		"To":             n.To(s.ID()).Emit("a"),
		"Broadcast":      s.Broadcast().Emit("nobody"),
		"Join":           n.To("nobody").Join("room"),
		"ServerSideEmit": n.ServerSideEmit("a"),
	} {
		if !errors.Is(err, adapter.ErrUnreachable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"the socket":  s.Emit("a"),
		"Local":       n.Local().Emit("a"),
		"one of them": n.Local().To(s.ID()).Emit("a"),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	g.wantEvents(`["a"]`, `["a"]`, `["a"]`, `["a"]`, `["a"]`)
}
