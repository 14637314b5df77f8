package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/redis"
	"github.com/roomspan/roomspan/test/internal/peer"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// streamsPeer is a node on Node's own socket.io, in the Streams family.
type streamsPeer struct {
	t       *testing.T
	process *peer.Process
	orders  int
}

func startStreamsPeer(t *testing.T, r *peer.RedisServer, more ...string) *streamsPeer {
	t.Helper()
	p := peer.Node(t, "peer-streams.mjs", append([]string{"--redis", r.URL()}, more...)...)
	p.Listening()
	return &streamsPeer{t: t, process: p}
}

// order lets the peer do something, and puts what it answers into result.
func (p *streamsPeer) order(result any, verb string, args ...any) {
	p.t.Helper()
	p.orders++
	line, err := json.Marshal(append([]any{p.orders, verb}, args...))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.process.WriteLine(string(line)); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	text, err := p.process.ReadLine(ctx)
	if err != nil {
		p.t.Fatalf("%s: %v", line, err)
	}
	var answer []json.RawMessage
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer) != 2 || string(answer[0]) != fmt.Sprint(p.orders) {
		p.t.Fatalf("%s: %s", line, text)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(answer[1], result); err != nil {
		p.t.Fatalf("%s: %s: %v", line, text, err)
	}
}

// clientState is what a client of the peer tells.
type clientState struct {
	ID, PID, Offset string
	Recovered       bool
	Events          [][]any
}

// recoveryHost is a host whose clients may recover.
type recoveryHost struct{ *adaptertest.Host }

func (recoveryHost) Recovery() adapter.Recovery {
	return adapter.Recovery{MaxDisconnection: time.Minute}
}

type quietNode struct{}

func (quietNode) NodeID() string       { return "roomspan" }
func (quietNode) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// streamsNode is a node of Roomspan without a server.
type streamsNode struct {
	t *testing.T
	adapter.Recoverer
	host *adaptertest.Host
}

func startStreamsNode(t *testing.T, r *peer.RedisServer, recovery bool, opts ...redis.StreamOption) *streamsNode {
	t.Helper()
	return startStreamsNodeAs(t, quietNode{}, r, recovery, opts...)
}

func startStreamsNodeAs(t *testing.T, node adapter.Node, r *peer.RedisServer, recovery bool, opts ...redis.StreamOption) *streamsNode {
	t.Helper()
	b := redis.New(r.URL(), redis.WithStreams(opts...))
	if err := b.Start(node); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	host := adaptertest.NewHost("/")
	var h adapter.Host = host
	if recovery {
		h = recoveryHost{host}
	}
	a, err := b.Open(h)
	if err != nil {
		t.Fatal(err)
	}
	host.Use(a)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return &streamsNode{t, a.(adapter.Recoverer), host}
}

func (n *streamsNode) emit(sel adapter.Selector, args string) {
	n.t.Helper()
	if err := n.Broadcast(&adapter.Packet{Args: []byte(args)}, sel, adapter.Flags{}); err != nil {
		n.t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// spaced is an event as text, its arguments apart.
func spaced(args []any) string { return strings.TrimSuffix(fmt.Sprintln(args...), "\n") }

// received returns the events of a socket without their offsets, and the last
// of these.
func received(packets []*adapter.Packet) (events []string, offset string) {
	for _, p := range packets {
		var args []any
		if err := json.Unmarshal(p.Args, &args); err != nil {
			return []string{err.Error()}, ""
		}
		if last, ok := args[len(args)-1].(string); ok && strings.Count(last, "-") == 1 {
			args, offset = args[:len(args)-1], last
		}
		events = append(events, spaced(args))
	}
	return events, offset
}

func packetsOf(s *adaptertest.Socket) (packets []*adapter.Packet) {
	for _, d := range s.Received() {
		packets = append(packets, d.Packet)
	}
	return packets
}

// awaitEvent waits until a socket, or a client of the peer, has an event.
func awaitEvent(t *testing.T, s *adaptertest.Socket, want string) {
	t.Helper()
	eventually(t, s.ID()+" receives "+want, func() bool {
		events, _ := received(packetsOf(s))
		return slices.Contains(events, want)
	})
}

func (p *streamsPeer) await(name, want string) (state clientState) {
	p.t.Helper()
	eventually(p.t, name+" receives "+want, func() bool {
		state = clientState{}
		p.order(&state, "received", name)
		return slices.ContainsFunc(state.Events, func(args []any) bool { return strings.HasPrefix(spaced(args), want) })
	})
	return state
}

func in(rooms ...string) adapter.Selector { return adapter.Selector{Rooms: rooms} }

// TestStreamsScenarios lets real clients meet two nodes in the Streams family,
// one of them a node of Node.
func TestStreamsScenarios(t *testing.T) {
	t.Parallel()
	r := peer.Redis(t)
	across(t, withNode.streams, roomspan(t, r, "-adapter", "streams"), startStreamsPeer(t, r).process)
}

func TestStreamsFleet(t *testing.T) {
	for _, recovery := range []bool{false, true} {
		for name, opts := range streamsFleets {
			t.Run(fmt.Sprintf("%s, recovery %v", name, recovery), func(t *testing.T) {
				t.Parallel()
				testStreamsFleet(t, recovery, opts)
			})
		}
	}
}

func testStreamsFleet(t *testing.T, recovery bool, opts fleetOptions) {
	r := peer.Redis(t)
	more := opts.peer
	if recovery {
		more = append(slices.Clip(more), "--recovery", "60000")
	}
	p := startStreamsPeer(t, r, more...)
	n := startStreamsNode(t, r, recovery, opts.node...)
	here := adaptertest.NewSocket("here")
	here.Answer(func(*adapter.Packet) *adapter.Packet { return &adapter.Packet{Args: []byte(`[["here",1]]`)} })
	n.Add(here, "room")
	var there clientState
	p.order(&there, "connect", "there", "", "")
	p.order(nil, "enter", "there", "room", map[string]any{"user": 1})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	t.Run("server count", func(t *testing.T) {
		eventually(t, "both count two", func() bool {
			var theirs int
			p.order(&theirs, "count")
			ours, err := n.ServerCount(ctx)
			return err == nil && ours == 2 && theirs == 2
		})
	})
	t.Run("broadcast", func(t *testing.T) {
		n.emit(adapter.Selector{}, `["ours",{"ü":[1,2.5,null]}]`)
		p.await("there", "ours map[ü:[1 2.5 <nil>]]")
		p.order(nil, "emit", []string{}, "theirs", map[string]any{"ü": []any{1, 2.5, nil}})
		awaitEvent(t, here, "theirs map[ü:[1 2.5 <nil>]]")
		err := n.Broadcast(&adapter.Packet{
			Args: []byte(`["our bytes",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 255}},
		}, adapter.Selector{}, adapter.Flags{})
		if err != nil {
			t.Fatal(err)
		}
		p.await("there", "our bytes map[data:[1 2 255] type:Buffer]")
		p.order(nil, "binary", []string{}, "their bytes", "0102ff")
		if opts.plaintext {
			awaitEvent(t, here, "their bytes map[bytes:map[data:[1 2 255] type:Buffer]]")
			checkPlaintext(t, r)
			return
		}
		eventually(t, "bytes come", func() bool {
			return slices.ContainsFunc(packetsOf(here), func(p *adapter.Packet) bool {
				return reflect.DeepEqual(p.Attachments, [][]byte{{1, 2, 255}}) && strings.HasPrefix(string(p.Args), `["their bytes",{"bytes":{"_placeholder":true,"num":0}}`)
			})
		})
	})
	t.Run("rooms", func(t *testing.T) {
		n.emit(in("room"), `["our room"]`)
		n.emit(adapter.Selector{Rooms: []string{"room"}, Except: []string{there.ID}}, `["not there"]`)
		n.emit(in(there.ID), `["to one"]`)
		state := p.await("there", "to one")
		for _, args := range state.Events {
			if args[0] == "not there" {
				t.Error("received what was not for it")
			}
		}
		p.order(nil, "emit", []string{"elsewhere"}, "not here")
		p.order(nil, "volatile", []string{"room"}, "volatile")
		p.order(nil, "emit", []string{"room"}, "their room")
		awaitEvent(t, here, "their room")
		events, _ := received(packetsOf(here))
		if slices.Contains(events, "not here") || !slices.Contains(events, "volatile") {
			t.Errorf("received %q", events)
		}
	})
	t.Run("fetch", func(t *testing.T) {
		sockets, err := n.FetchSockets(ctx, in("room"))
		if err != nil || len(sockets) != 2 {
			t.Fatalf("%+v, %v", sockets, err)
		}
		for _, s := range sockets {
			if s.ID == there.ID && (string(s.Data) != `{"user":1}` || !slices.Contains(s.Rooms, "room") || !strings.Contains(string(s.Handshake), `"address"`)) {
				t.Errorf("%+v", s)
			}
		}
		var theirs []struct {
			ID    string
			Rooms []string
			Data  any
		}
		p.order(&theirs, "fetch", []string{"room"})
		if len(theirs) != 2 {
			t.Fatalf("%+v", theirs)
		}
		for _, s := range theirs {
			if s.ID == "here" && fmt.Sprint(s.Rooms, s.Data) != "[here room] map[name:here]" {
				t.Errorf("%+v", s)
			}
		}
		rooms, err := n.Rooms(ctx)
		if err != nil || !slices.Equal(rooms, []string{"room"}) {
			t.Errorf("rooms %q, %v", rooms, err)
		}
	})
	t.Run("broadcast with ack", func(t *testing.T) {
		answers, err := n.BroadcastWithAck(ctx, &adapter.Packet{Args: []byte(`["question",7]`)}, in("room"), adapter.Flags{})
		got, _ := received(answers)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, []string{"[here 1]", "[there 7]"}) {
			t.Errorf("%q, %v", got, err)
		}
		var theirs []any
		p.order(&theirs, "ask", []string{"room"}, 5000, "question", 8)
		if text := fmt.Sprint(theirs); text != "[ [[here 1] [there 8]]]" && text != "[ [[there 8] [here 1]]]" {
			t.Errorf("theirs: %s", text)
		}
	})
	t.Run("server-side events", func(t *testing.T) {
		n.host.AnswerEvents(func(*adapter.Packet) *adapter.Packet { return &adapter.Packet{Args: []byte(`["roomspan"]`)} })
		if err := n.ServerSideEmit(&adapter.Packet{Args: []byte(`["greet",1]`)}); err != nil {
			t.Fatal(err)
		}
		answers, err := n.ServerSideEmitWithAck(ctx, &adapter.Packet{Args: []byte(`["greet",2]`)})
		if got, _ := received(answers); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "hello of ") {
			t.Errorf("%q, %v", got, err)
		}
		eventually(t, "both come", func() bool {
			var events [][]any
			p.order(&events, "events")
			return len(events) == 2
		})
		var theirs []string
		p.order(&theirs, "serverSideAsk", "greet", 3)
		if !slices.Equal(theirs, []string{"roomspan"}) {
			t.Errorf("%q", theirs)
		}
		p.order(nil, "serverSideEmit", "greet", 4)
		eventually(t, "both come", func() bool { return len(n.host.Events()) == 2 })
	})
	t.Run("join, leave, disconnect", func(t *testing.T) {
		if err := n.AddSockets(in("room"), []string{"ours"}); err != nil {
			t.Fatal(err)
		}
		if err := n.DelSockets(in("ours"), []string{"room"}); err != nil {
			t.Fatal(err)
		}
		n.emit(in("ours"), `["joined"]`)
		p.await("there", "joined")
		p.order(nil, "join", []string{"ours"}, []string{"theirs"})
		p.order(nil, "leave", []string{"theirs"}, []string{"ours"})
		p.order(nil, "emit", []string{"theirs"}, "joined theirs")
		awaitEvent(t, here, "joined theirs")
		if rooms := here.Membership().Rooms(); !slices.Equal(rooms, []string{"here", "theirs"}) {
			t.Errorf("here is in %q", rooms)
		}
		if err := n.DisconnectSockets(in(there.ID), true); err != nil {
			t.Fatal(err)
		}
		eventually(t, "there is disconnected", func() bool {
			sockets, err := n.FetchSockets(ctx, adapter.Selector{})
			return err == nil && len(sockets) == 1
		})
		p.order(nil, "disconnect", []string{"theirs"}, true)
		eventually(t, "here is disconnected", func() bool {
			gone, conn := here.Disconnected()
			return gone && conn
		})
	})
}

// A session that a node of Node has kept is recovered by Roomspan.
func TestRecoveryFromNode(t *testing.T) {
	t.Parallel()
	withNode.streams.hold(t, recovery, "b to a")
	r := peer.Redis(t)
	p := startStreamsPeer(t, r, "--recovery", "60000")
	n := startStreamsNode(t, r, true)
	var there clientState
	p.order(&there, "connect", "there", "", "")
	p.order(nil, "enter", "there", "room", map[string]any{"user": 1})
	n.emit(in("room"), `["ours",1]`)
	p.await("there", "ours 1")
	p.order(nil, "emit", []string{"room"}, "theirs", 2)
	p.await("there", "theirs 2")
	var cut clientState
	p.order(&cut, "cut", "there")
	p.order(nil, "emit", []string{"room"}, "theirs", 3)
	p.order(nil, "volatile", []string{"room"}, "volatile")
	p.order(nil, "emit", []string{"other"}, "not for it")
	n.emit(in("room"), `["ours",4]`)
	p.order(nil, "binary", []string{there.ID}, "bytes", "ff")
	s := adaptertest.NewSocket(there.ID)
	watcher := adaptertest.NewSocket("watcher")
	n.Add(watcher)
	p.order(nil, "emit", []string{}, "everyone")
	awaitEvent(t, watcher, "everyone")
	var missed []*adapter.Packet
	restore := func() error {
		return n.RestoreSession(t.Context(), there.PID, cut.Offset, func(session adapter.Session, packets []*adapter.Packet) bool {
			if session.SocketID != there.ID || !slices.Equal(session.Rooms, []string{"room"}) || string(session.Data) != `{"user":1}` {
				t.Errorf("%+v", session)
			}
			missed = packets
			return n.Add(s, session.Rooms...)
		})
	}
	// Node says nowhere when it has kept a session.
	eventually(t, "the session is restored", func() bool { return restore() == nil })
	p.order(nil, "emit", []string{"room"}, "theirs", 5)
	awaitEvent(t, s, "theirs 5")
	events, offset := received(append(missed, packetsOf(s)...))
	want := []string{"theirs 3", "ours 4", "bytes map[bytes:map[_placeholder:true num:0]]", "everyone", "theirs 5"}
	slices.Sort(events[:3]) // of two nodes
	slices.Sort(want[:3])
	if !slices.Equal(events, want) || offset == "" {
		t.Errorf("received %q, offset %q; want %q", events, offset, want)
	}
	if err := restore(); err != adapter.ErrNoSession {
		t.Errorf("restored twice: %v", err)
	}
}

// And the other way round.
func TestRecoveryByNode(t *testing.T) {
	t.Parallel()
	withNode.streams.hold(t, recovery, "a to b")
	r := peer.Redis(t)
	p := startStreamsPeer(t, r, "--recovery", "60000")
	n := startStreamsNode(t, r, true)
	here := adaptertest.NewSocket("AAAAAAAAAAAAAAAAAAAA")
	n.Add(here, "room")
	p.order(nil, "emit", []string{"room"}, "theirs", 1)
	awaitEvent(t, here, "theirs 1")
	n.emit(in(here.ID()), `["ours",2]`)
	awaitEvent(t, here, "ours 2")
	_, offset := received(packetsOf(here))
	n.PersistSession(adapter.Session{
		PrivateID: "BBBBBBBBBBBBBBBBBBBB", SocketID: here.ID(), Rooms: []string{"room"}, Data: json.RawMessage(`{"user":{"name":"ü"}}`),
	})
	n.DelAll(here)
	n.emit(in("room"), `["ours",3]`)
	n.emit(in("other"), `["not for it"]`)
	p.order(nil, "emit", []string{"room"}, "theirs", 4)
	n.emit(in(here.ID()), `["ours",5]`)

	// What was queued in order is stored when what came after it is there.
	watcher := adaptertest.NewSocket("watcher")
	n.Add(watcher)
	n.emit(adapter.Selector{}, `["everyone"]`)
	awaitEvent(t, watcher, "everyone")
	var state clientState
	p.order(&state, "connect", "back", "BBBBBBBBBBBBBBBBBBBB", offset)
	if !state.Recovered || state.ID != here.ID() {
		t.Fatalf("%+v", state)
	}
	n.emit(in("room"), `["ours",6]`)
	state = p.await("back", "ours 6")
	var events []string
	for _, args := range state.Events {
		if args[0] != "auth" { // of the server, when it connects
			events = append(events, spaced(args[:len(args)-1]))
		}
	}
	want := []string{"ours 3", "theirs 4", "ours 5", "everyone", "ours 6"}
	if len(events) == len(want) {
		slices.Sort(events[:4])
		slices.Sort(want[:4])
	}
	if !slices.Equal(events, want) {
		t.Errorf("received %q, want %q", events, want)
	}
	var sockets []struct{ Data any }
	p.order(&sockets, "fetch", []string{here.ID()})
	if len(sockets) != 1 || fmt.Sprint(sockets[0].Data) != "map[user:map[name:ü]]" {
		t.Errorf("%+v", sockets)
	}
}
