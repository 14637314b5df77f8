package server_test

import (
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/roomspan/roomspan/server"
)

// upgrade makes a client of a poller's session: the probe and the upgrade
// packet of Engine.IO.
func upgrade(t *testing.T, n *node, p *poller) *client {
	t.Helper()
	url := "ws" + p.url()[len("http"):]
	conn, _, _, err := ws.Dialer{}.Dial(t.Context(), url[:len(url)-len("polling&sid=")-len(p.sid)]+"websocket&sid="+p.sid)
	must(t, err)
	c := &client{packets: make(chan string, 100), done: make(chan struct{}), turn: make(chan struct{}, 1), conn: conn, sid: p.sid}
	c.attach(t)
	c.send("2probe")
	c.want("engine.io 3probe")
	c.send("5")
	return c
}

func TestOnUpgrade(t *testing.T) {
	n := start(t)
	a := n.of(t, "/a")
	b := n.of(t, "/b")
	type notice struct{ namespace, transport, id string }
	notices := make(chan notice, 10)
	note := func(s *server.Socket) { notices <- notice{s.Namespace().Name(), s.Transport(), s.ID()} }
	n.OnUpgrade(note)
	n.OnUpgrade(func(*server.Socket) { panic("reported, and no more") })
	b.OnUpgrade(note)
	release := make(chan struct{})
	b.Use(func(*server.Socket) error { <-release; return server.Errorf("refused") })
	server.On(n, "transport", func(s *server.Socket, _ any) error { return s.Emit("transport", s.Transport()) })

	p := poll(t, n)
	p.post("40", "40/a,", "40/b,")
	eventually(t, "the sockets have joined", func() bool { return n.Stats().Connections == 2 })
	p.post(`42["transport"]`)
	eventually(t, "the event was handled", func() bool { return n.Stats().Events == 1 })
	if len(notices) != 0 {
		t.Error("told before the upgrade")
	}
	p.get()
	c := upgrade(t, n, p)
	if got := recv(t, notices); got.namespace != "/" || got.transport != "websocket" || got.id == "" {
		t.Errorf("told %+v", got)
	}
	close(release)
	eventually(t, "the panic is counted", func() bool { return n.Stats().Panics == 1 })
	c.send(`42["transport"]`, "41/a,", "40/a,")
	for want := event("transport", `"websocket"`); c.next() != want; {
	}
	// Who begins on WebSocket does not change to it.
	join(t, n)
	if st := n.Stats(); len(notices) != 0 || st.Upgrades != 1 || a.Name() != "/a" {
		t.Errorf("%d more notices, %d upgrades", len(notices), st.Upgrades)
	}
}

// The probe is answered with a write that may wait; its deadline must not cut
// the client off later.
func TestUpgradedClientIsReachedAfterTheWriteTimeout(t *testing.T) {
	const timeout = 100 * time.Millisecond
	n := start(t, server.WithWriteTimeout(timeout))
	server.On(n, "echo", func(s *server.Socket, v int) error { return s.Emit("echo", v) })
	p := poll(t, n)
	p.post("40")
	p.get()
	c := upgrade(t, n, p)
	time.Sleep(3 * timeout)
	c.send(`42["echo",1]`)
	for want := event("echo", "1"); ; {
		if got := c.next(); got == want {
			break
		} else if got == "" {
			t.Fatal("the client was cut off")
		}
	}
}
