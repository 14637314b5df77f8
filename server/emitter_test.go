package server_test

import (
	"context"
	"errors"
	"testing"

	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/server"
)

func TestEmitter(t *testing.T) {
	bus := adaptertest.NewBus()
	n := start(t, server.WithAdapter(bus.Backend()))
	sockets := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	other := n.of(t, "/other")
	c, id := join(t, n)
	s := recv(t, sockets)
	c.join("/other")

	e, err := server.NewEmitter(bus.Backend(), server.WithAckTimeout(patience))
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(t, e.Ready(ctx))
	must(t, e.To(id).Join("room"))
	must(t, e.To("room").Emit("x", 1))
	c.want(event("x", "1"))
	eo, err := e.Of("other")
	must(t, err)
	must(t, eo.Emit("y"))
	c.want(`2/other,["y"]`)
	if found, err := e.Fetch(ctx); err != nil || len(found) != 1 || found[0].ID != s.ID() {
		t.Errorf("found %v: %v", found, err)
	}
	got := make(chan string, 1)
	server.On(other.ServerSide(), "side", func(_ *server.Socket, v string) error { got <- v; return nil })
	must(t, eo.ServerSideEmit("side", "value"))
	if v := recv(t, got); v != "value" {
		t.Errorf("got %q", v)
	}
	must(t, e.To("room").Disconnect(false))
	c.want("1")
	must(t, e.Close(ctx))
	must(t, e.Close(ctx))
	if err := e.Emit("late"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Emit after Close: %v", err)
	}
	if _, err := e.Of("/late"); !errors.Is(err, server.ErrClosed) {
		t.Errorf("Of after Close: %v", err)
	}
	var oe *server.OptionError
	if _, err := server.NewEmitter(nil); !errors.As(err, &oe) || oe.Option != "WithAdapter" {
		t.Errorf("without a back-end: %v", err)
	}
}
