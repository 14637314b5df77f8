package server_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/server"
)

// lossy is a back-end whose adapters are changed by wrap.
type lossy struct {
	adapter.Backend
	wrap func(adapter.Recoverer) adapter.Adapter
}

func (l lossy) Open(h adapter.Host) (adapter.Adapter, error) {
	a, err := l.Backend.Open(h)
	if err != nil {
		return nil, err
	}
	return l.wrap(a.(adapter.Recoverer)), nil
}

// elsewhere brings sessions as if from another node, or fails.
type elsewhere struct {
	adapter.Recoverer
	err error
}

func (e elsewhere) RestoreSession(ctx context.Context, privateID, offset string, admit func(adapter.Session, []*adapter.Packet) bool) error {
	if e.err != nil {
		return e.err
	}
	return e.Recoverer.RestoreSession(ctx, privateID, offset, func(s adapter.Session, missed []*adapter.Packet) bool {
		s.Value = nil
		return admit(s, missed)
	})
}

// plain is a back-end whose adapters keep nothing.
type plain struct{ adapter.Backend }

func (plain) Open(h adapter.Host) (adapter.Adapter, error) { return adapter.NewLocal(h), nil }

func TestRecoveryFromElsewhere(t *testing.T) {
	type user struct{ Name string }
	n := start(t, recovering, server.WithAdapter(lossy{adapter.Memory(),
		func(r adapter.Recoverer) adapter.Adapter { return elsewhere{r, nil} }}))
	users := make(chan user, 2)
	n.OnConnection(func(s *server.Socket) {
		if !s.Recovered() {
			s.SetData(&user{"Ada"})
			must(t, s.Emit("a"))
			return
		}
		u, ok := server.Data[user](s)
		if !ok {
			t.Error("no data")
		}
		users <- u
	})
	g := visit(t, n, nil)
	g.wantEvents(`["a"]`)
	g.cut(n)
	visit(t, n, g)
	if u := recv(t, users); u.Name != "Ada" {
		t.Errorf("the data are %+v", u)
	}
}

func TestRecoveryWithoutAnswer(t *testing.T) {
	var log logs
	n := start(t, recovering, server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		server.WithAdapter(lossy{adapter.Memory(),
			func(r adapter.Recoverer) adapter.Adapter { return elsewhere{r, errors.New("bus is away")} }}))
	g := visit(t, n, nil)
	must(t, n.Emit("a"))
	g.wantEvents(`["a"]`)
	g.cut(n)
	if back := visit(t, n, g); back.sid == g.sid {
		t.Error("recovered")
	}
	if st := n.Stats(); !strings.Contains(log.String(), "bus is away") || st.NotRecovered != 1 {
		t.Errorf("logged %q, Stats = %+v", log.String(), st)
	}
}

// TestRecoveryWithoutRecoverer holds that the option changes nothing with an
// adapter that cannot recover, but for one line in the log.
func TestRecoveryWithoutRecoverer(t *testing.T) {
	var log logs
	n := start(t, recovering, server.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		server.WithAdapter(plain{adapter.Memory()}))
	n.of(t, "/second")
	c, id := join(t, n)
	must(t, n.To(id).Emit("a"))
	if strings.Count(log.String(), "recovery is off") != 1 {
		t.Errorf("logged %q", log.String())
	}
	c.want(event("a"))
}

// TestRecoveryBesideSocketIO2 is a client that cannot be recovered, since it
// knows no private id.
func TestRecoveryBesideSocketIO2(t *testing.T) {
	n := start(t, recovering, server.WithEIO3())
	sockets, gone := make(chan *server.Socket, 2), make(chan server.Reason, 2)
	n.OnConnection(func(s *server.Socket) { sockets <- s })
	n.OnDisconnect(func(_ *server.Socket, reason server.Reason) { gone <- reason })
	old := dial3(t, n)
	old.want("0")
	s := recv(t, sockets)
	must(t, n.Emit("a"))
	must(t, s.Emit("b"))
	old.want(event("a", `"1"`), event("b"))
	_ = old.conn.Close()
	if reason := recv(t, gone); reason != server.ReasonTransportClose || s.Recovered() {
		t.Errorf("disconnected: %s, recovered: %v", reason, s.Recovered())
	}
	g := visit(t, n, nil)
	must(t, n.Emit("c"))
	g.wantEvents(`["c"]`)
}
