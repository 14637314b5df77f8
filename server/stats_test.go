package server_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/server"
)

func TestStatsOfNamespaces(t *testing.T) {
	n := start(t)
	a := n.of(t, "/a")
	n.OnConnection(func(s *server.Socket) { s.Join("all", s.ID()) })
	a.OnConnection(func(s *server.Socket) { s.Join("x", "y") })
	first, _ := join(t, n)
	first.join("/a")
	second, _ := join(t, n)
	eventually(t, "all are in their rooms", func() bool { return n.Stats().Rooms == 3 })
	st := n.Stats()
	want := map[string]struct{ Sockets, Rooms int }{"/": {2, 1}, "/a": {1, 2}}
	if st.Sockets != 3 || st.Sessions != 2 || !reflect.DeepEqual(st.Namespaces, want) {
		t.Errorf("%+v", st)
	}
	second.send("41")
	first.send("41/a,")
	eventually(t, "they have left", func() bool { return n.Stats().Sockets == 1 })
	eventually(t, "and their rooms", func() bool { return n.Stats().Namespaces["/a"].Rooms == 0 })
	if b, err := json.Marshal(n.Stats()); err != nil || !strings.Contains(string(b), `"Namespaces":{"/":{"Sockets":1,"Rooms":1},`) {
		t.Errorf("%s, %v", b, err)
	}
}

// What waits for a client can be seen before it is too much, and the two ways
// of being too slow are counted apart.
func TestQueued(t *testing.T) {
	n := start(t, server.WithQueueLimit(100, 64<<20), server.WithWriteTimeout(time.Minute))
	connected := make(chan *server.Socket, 1)
	n.OnConnection(func(s *server.Socket) { connected <- s })
	c, err := tryDial(n) // nobody reads
	must(t, err)
	t.Cleanup(func() { _ = c.conn.Close() })
	c.send("40")
	s := recv(t, connected)
	packets, bytes := s.Queued()
	text := strings.Repeat("x", 1<<16)
	for packets == 0 || bytes < 1<<16 {
		must(t, s.Emit("x", text))
		packets, bytes = s.Queued()
	}
	if packets > 100 || bytes < packets<<16 {
		t.Errorf("%d packets of %d bytes", packets, bytes)
	}
	for err == nil {
		err = s.Emit("x", text)
	}
	if st := n.Stats(); st.SlowClients != 1 || st.QueueOverflows != 1 {
		t.Errorf("%d slow clients, %d queues too full", st.SlowClients, st.QueueOverflows)
	}
	if packets, bytes = s.Queued(); packets != 0 || bytes != 0 {
		t.Errorf("%d packets of %d bytes wait for nobody", packets, bytes)
	}
}
