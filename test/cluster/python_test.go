package cluster_test

import (
	"context"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/roomspan/roomspan/adapter/pysocketio"
	"github.com/roomspan/roomspan/server"
	"github.com/roomspan/roomspan/server/servertest"
	"github.com/roomspan/roomspan/test/internal/peer"
)

// python starts a node on python-socketio; more are flags of peer.py.
func python(t *testing.T, redis *peer.RedisServer, more ...string) *peer.Process {
	t.Helper()
	p := peer.Python(t, "peer.py", append([]string{"--redis", redis.URL() + "/0"}, more...)...)
	p.Listening()
	return p
}

// TestPythonFleet has a node of Roomspan and one of python-socketio in one Redis: one as it is installed, which writes
// pickle, and ones that write what later versions do.
func TestPythonFleet(t *testing.T) {
	peer.Need(t, "node")
	for _, tt := range []struct {
		form, adapter string
		flags         []string
		column        *column
	}{
		{"old", "python-old", nil, withPython.old},
		{"one", "python-one", []string{"--one-argument"}, withPython.one},
		{"new", "python", []string{"--json"}, withPython.new},
	} {
		t.Run(tt.form, func(t *testing.T) {
			t.Parallel()
			redis := peer.Redis(t)
			theirs := python(t, redis, tt.flags...)
			ours := roomspan(t, redis, "-adapter", tt.adapter)
			besidePython(t, tt.column, ours, theirs, tt.form)
		})
	}
}

// besidePython runs the scenarios of a node of Roomspan and one of python-socketio, which writes that form.
func besidePython(t *testing.T, c *column, ours, theirs *peer.Process, form string) {
	t.Helper()
	c.record(t, peer.Checks(t, scriptLimit, "python.mjs", "--ours", ours.URL(), "--theirs", theirs.URL(), "--form", form))
}

// TestPythonAnswersEmitter has a process on Roomspan that only emits, whose clients are on a node of python-socketio.
func TestPythonAnswersEmitter(t *testing.T) {
	for _, tt := range []struct {
		form  string
		opts  []pysocketio.Option
		flags []string
	}{
		{"old", []pysocketio.Option{pysocketio.WithPickle()}, nil},
		{"one", []pysocketio.Option{pysocketio.WithOneArgument()}, []string{"--one-argument"}},
		{"new", nil, []string{"--json"}},
	} {
		t.Run(tt.form, func(t *testing.T) {
			redis := peer.Redis(t)
			address, err := url.Parse(python(t, redis, tt.flags...).URL())
			if err != nil {
				t.Fatal(err)
			}
			theirs := httputil.NewSingleHostReverseProxy(address)
			c := servertest.Connect(t, theirs, servertest.Timeout(patience))
			servertest.Handle(c, "question", func(x int) int { return x + 1 })
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			e, err := server.NewEmitter(pysocketio.New(redis.URL(), tt.opts...))
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close(context.Background())
			if err := e.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			if err := e.Emit("told", "x"); err != nil {
				t.Fatal(err)
			}
			if got := servertest.Next[string](t, c, "told"); got != "x" {
				t.Errorf("told %q", got)
			}
			for i := range 3 {
				answers, err := server.CallAll[int](ctx, e.To(c.ID()), "question", i)
				if err != nil || len(answers) != 1 || answers[0] != i+1 {
					t.Errorf("answers %v: %v", answers, err)
				}
			}
		})
	}
}

// TestJoinedFleets has two nodes of Roomspan that are in a Node fleet and in a Python fleet of one Redis.
func TestJoinedFleets(t *testing.T) {
	for _, tt := range []struct {
		name, adapter string
		column        *column
		node          func(*testing.T, *peer.RedisServer) *peer.Process
	}{
		{"classic", "redis+python-old", joined.classic, func(t *testing.T, r *peer.RedisServer) *peer.Process { return node(t, r) }},
		{"streams", "streams+python-old", joined.streams, func(t *testing.T, r *peer.RedisServer) *peer.Process {
			return startStreamsPeer(t, r).process
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redis := peer.Redis(t)
			theirs, py := tt.node(t, redis), python(t, redis)
			j1, j2 := roomspan(t, redis, "-adapter", tt.adapter), roomspan(t, redis, "-adapter", tt.adapter)
			tt.column.record(t, peer.Checks(t, scriptLimit, "joined.mjs",
				"--j1", j1.URL(), "--j2", j2.URL(), "--node", theirs.URL(), "--python", py.URL()))
		})
	}
}

// TestPythonWriter has a process on python-socketio that has no clients, and emits.
func TestPythonWriter(t *testing.T) {
	for _, tt := range []struct {
		form  string
		opts  []pysocketio.Option
		flags []string
	}{
		{"old", []pysocketio.Option{pysocketio.WithPickle()}, nil},
		{"new", nil, []string{"--json"}},
	} {
		t.Run(tt.form, func(t *testing.T) {
			redis := peer.Redis(t)
			writer := peer.Python(t, "peer.py", append([]string{"--redis", redis.URL() + "/0", "--write-only"}, tt.flags...)...)
			io := servertest.New(t, server.WithAdapter(pysocketio.New(redis.URL(), tt.opts...)))
			if err := io.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			a, b := servertest.Connect(t, io), servertest.Connect(t, io)
			if err := io.To(a.ID()).Join("r"); err != nil {
				t.Fatal(err)
			}
			say := func(message string) {
				t.Helper()
				if err := writer.WriteLine(message); err != nil {
					t.Fatal(err)
				}
				if line, err := writer.ReadLine(t.Context()); err != nil || line != "done" {
					t.Fatalf("%q, %v", line, err)
				}
			}
			say(`{"event": "text", "data": "wörld"}`)
			say(`{"event": "two", "data": [1, "x"], "tuple": true}`)
			say(`{"event": "binary", "data": [0, 1, 255], "bytes": true}`)
			say(`{"event": "room", "data": {"a": [1]}, "room": "r"}`)
			say(`{"event": "skip", "data": 1, "skip": "` + a.ID() + `"}`)
			say(`{"close": "r"}`)
			say(`{"event": "room", "data": 2, "room": "r"}`)
			say(`{"event": "end", "data": 3}`)
			for _, c := range []*servertest.Client{a, b} {
				if got := servertest.Next[string](t, c, "text"); got != "wörld" {
					t.Errorf("text %q", got)
				}
				var n int
				var s string
				if servertest.NextArgs(t, c, "two", &n, &s); n != 1 || s != "x" {
					t.Errorf("two %d, %q", n, s)
				}
				if got := servertest.Next[[]byte](t, c, "binary"); string(got) != "\x00\x01\xff" {
					t.Errorf("binary %q", got)
				}
			}
			if got := servertest.Next[map[string][]int](t, a, "room"); len(got["a"]) != 1 {
				t.Errorf("room %v", got)
			}
			servertest.Next[int](t, b, "skip")
			servertest.Next[int](t, a, "end")
			servertest.Next[int](t, b, "end")
			servertest.None(t, a, "room", "skip")
			servertest.None(t, b, "room")
			say(`{"drop": "` + a.ID() + `"}`)
			if got := a.Disconnected(); got != "io server disconnect" {
				t.Errorf("disconnected: %q", got)
			}
		})
	}
}
