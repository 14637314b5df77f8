package adapter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

func TestMemoryRecovery(t *testing.T) {
	adaptertest.RunRecovery(t, func(*testing.T) func() adapter.Backend { return adapter.Memory }, 1)
}

// bed is an in-memory namespace that keeps things.
type bed struct {
	t       *testing.T
	backend adapter.Backend
	adapter.Recoverer
}

func newBed(t *testing.T, bounds adapter.Recovery) *bed {
	t.Helper()
	host := adaptertest.NewHost("/")
	host.Recover(bounds)
	backend := adapter.Memory()
	a, err := backend.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	host.Use(a)
	t.Cleanup(func() { _ = backend.Close(context.Background()) })
	return &bed{t, backend, a.(adapter.Recoverer)}
}

func (b *bed) add(id string, rooms ...string) *adaptertest.Socket {
	b.t.Helper()
	s := adaptertest.NewSocket(id)
	if !b.Add(s, rooms...) {
		b.t.Fatal("Add = false")
	}
	return s
}

func (b *bed) emit(event string, rooms ...string) {
	b.t.Helper()
	p := &adapter.Packet{Args: []byte(`["` + event + `"]`)}
	if err := b.Broadcast(p, adapter.Selector{Rooms: rooms}, adapter.Flags{}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) cut(s *adaptertest.Socket) {
	b.PersistSession(adapter.Session{PrivateID: "p" + s.ID(), SocketID: s.ID(), Rooms: s.Membership().Rooms()[1:]})
	b.DelAll(s)
}

// restore returns the new socket and the events that it missed, or nil.
func (b *bed) restore(id, offset string) (s *adaptertest.Socket, missed string) {
	b.t.Helper()
	err := b.RestoreSession(b.t.Context(), "p"+id, offset, func(session adapter.Session, packets []*adapter.Packet) bool {
		s = adaptertest.NewSocket(id)
		for _, p := range packets {
			event, _ := parts(b.t, p)
			missed += event
		}
		return b.Add(s, session.Rooms...)
	})
	if (s == nil) != errors.Is(err, adapter.ErrNoSession) {
		b.t.Fatalf("RestoreSession = %v", err)
	}
	return s, missed
}

// parts returns the name and the offset of an event.
func parts(t *testing.T, p *adapter.Packet) (event, offset string) {
	t.Helper()
	var args []string
	if err := json.Unmarshal(p.Args, &args); err != nil || len(args) != 2 {
		t.Fatalf("delivered %s", p.Args)
	}
	return args[0], args[1]
}

// sent returns the offset of the i-th event that a socket was sent.
func sent(t *testing.T, s *adaptertest.Socket, i int) string {
	t.Helper()
	_, offset := parts(t, s.Received()[i].Packet)
	return offset
}

var roomy = adapter.Recovery{MaxDisconnection: time.Minute, MaxPackets: 100, MaxBytes: 1 << 20, MaxSessions: 100}

// TestMemoryRecoveryOfQuietClients holds that the age of the offset does not
// count when the client had all that it was sent.
func TestMemoryRecoveryOfQuietClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, roomy)
		quiet, silent := b.add("quiet", "room"), b.add("silent", "room")
		b.emit("a", "quiet")
		offset := sent(t, quiet, 0)
		for range 200 {
			b.emit("other", "elsewhere")
			time.Sleep(time.Second)
		}
		b.cut(quiet)
		b.cut(silent)
		b.emit("b", "room")
		quiet, missed := b.restore("quiet", offset)
		if missed != "b" {
			t.Fatalf("quiet missed %q", missed)
		}
		if _, missed := b.restore("silent", ""); missed != "b" {
			t.Errorf("silent, who never received anything, missed %q", missed)
		}
		for range 3 { // nothing of it arrives
			time.Sleep(10 * time.Second)
			b.emit("c", "room")
			b.cut(quiet)
			if quiet, missed = b.restore("quiet", offset); quiet == nil {
				t.Fatal("quiet is not restored once more")
			}
		}
		if missed != "bccc" {
			t.Errorf("quiet missed %q", missed)
		}
		time.Sleep(50 * time.Second)
		b.emit("d", "room")
		b.cut(quiet)
		if s, missed := b.restore("quiet", offset); s != nil {
			t.Errorf("quiet is restored with %q, though b has passed its time", missed)
		}
	})
}

// TestMemoryRecoveryAfterAChangeOfRooms holds that nobody is restored of whom
// it is not certain what he was sent.
func TestMemoryRecoveryAfterAChangeOfRooms(t *testing.T) {
	tests := []struct {
		name     string
		change   func(*bed, *adaptertest.Socket)
		received int // of the events
		want     string
	}{
		{"joined, everything arrived", func(b *bed, s *adaptertest.Socket) { b.Add(s, "new") }, 3, "de"},
		{"joined, the event before arrived", func(b *bed, s *adaptertest.Socket) { b.Add(s, "new") }, 1, "none"},
		{"joined, the event after arrived", func(b *bed, s *adaptertest.Socket) { b.Add(s, "new") }, 2, "cde"},
		{"left, everything arrived", func(b *bed, s *adaptertest.Socket) { b.Del(s, "room") }, 2, "e"},
		{"left, the event before arrived", func(b *bed, s *adaptertest.Socket) { b.Del(s, "room") }, 1, "none"},
		{"joined what it was in", func(b *bed, s *adaptertest.Socket) { b.Add(s, "room", "s") }, 1, "bcde"},
		{"left what it was not in", func(b *bed, s *adaptertest.Socket) { b.Del(s, "new", "s") }, 1, "bcde"},
		{"moved by a selector", func(b *bed, _ *adaptertest.Socket) {
			_ = b.AddSockets(adapter.Selector{Rooms: []string{"room"}}, []string{"new"})
		}, 1, "none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t, roomy)
			s := b.add("s", "room")
			b.emit("a", "room")
			tt.change(b, s)
			b.emit("b")
			b.emit("c", "room")
			offset := sent(t, s, tt.received-1)
			b.cut(s)
			b.emit("d", "room")
			b.emit("e", "new", "s")
			restored, missed := b.restore("s", offset)
			if restored == nil {
				missed = "none"
			}
			if missed != tt.want {
				t.Errorf("missed %q, want %q", missed, tt.want)
			}
		})
	}
}

func TestMemoryRecoveryBounds(t *testing.T) {
	few, short, lone := roomy, roomy, roomy
	few.MaxPackets, short.MaxBytes, lone.MaxSessions = 3, 3000, 1
	tests := []struct {
		name      string
		bounds    adapter.Recovery
		emits     int
		emit      string
		want      bool
		want2     bool
		trimmed   uint64
		trimmedSs uint64
	}{
		{"none reached", roomy, 3, "x", true, true, 0, 0},
		{"packets reached", few, 3, "x", true, true, 1, 0}, // the first one, that has arrived
		{"packets passed", few, 4, "x", false, false, 2, 0},
		{"bytes reached", short, 2, strings.Repeat("x", 1000), true, true, 0, 0},
		{"bytes passed", short, 4, strings.Repeat("x", 1000), false, false, 3, 0},
		{"packet beyond the bytes", short, 1, strings.Repeat("x", 3000), false, false, 2, 0},
		{"sessions passed", lone, 3, "x", false, true, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t, tt.bounds)
			first, second := b.add("first"), b.add("second")
			b.emit("a")
			offset := sent(t, first, 0)
			b.cut(first)
			b.cut(second)
			for range tt.emits {
				b.emit(tt.emit)
			}
			s, missed := b.restore("first", offset)
			s2, _ := b.restore("second", offset)
			if (s != nil) != tt.want || (s2 != nil) != tt.want2 {
				t.Errorf("restored: %v and %v", s != nil, s2 != nil)
			}
			if want := strings.Repeat(tt.emit, tt.emits); s != nil && missed != want {
				t.Errorf("missed %q", missed)
			}
			if st := b.backend.Stats(); st.PacketsTrimmed != tt.trimmed || st.SessionsTrimmed != tt.trimmedSs {
				t.Errorf("Stats = %+v", st)
			}
		})
	}
}

func TestMemoryRecoveryClosed(t *testing.T) {
	b := newBed(t, roomy)
	s := b.add("s")
	b.emit("a")
	b.cut(s)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	b.PersistSession(adapter.Session{PrivateID: "pt", SocketID: "t"})
	err := b.RestoreSession(t.Context(), "ps", "1", func(adapter.Session, []*adapter.Packet) bool { return true })
	if !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("RestoreSession = %v", err)
	}
	if err := b.Broadcast(packet, adapter.Selector{}, adapter.Flags{}); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Broadcast = %v", err)
	}
}

// TestMemoryWithoutRecovery holds that without bounds nothing is kept, and
// nothing appended.
func TestMemoryWithoutRecovery(t *testing.T) {
	b := newBed(t, adapter.Recovery{})
	s := b.add("s")
	if err := b.Broadcast(packet, adapter.Selector{}, adapter.Flags{}); err != nil {
		t.Fatal(err)
	}
	if got := s.Received()[0].Packet; got != packet {
		t.Errorf("delivered %s", got.Args)
	}
	b.cut(s)
	if s, _ := b.restore("s", "1"); s != nil {
		t.Error("restored")
	}
}

// TestMemoryRecoveryForgets holds that nothing stays for ever when the
// namespace falls silent.
func TestMemoryRecoveryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, roomy)
		s := b.add("s")
		data, value := weak.Pointer[byte]{}, weak.Pointer[[100]byte]{}
		func() {
			attachment, v := make([]byte, 1000), new([100]byte)
			data, value = weak.Make(&attachment[0]), weak.Make(v)
			p := &adapter.Packet{Args: []byte(`["a",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{attachment}}
			if err := b.Broadcast(p, adapter.Selector{Rooms: []string{"nobody"}}, adapter.Flags{}); err != nil {
				t.Fatal(err)
			}
			b.PersistSession(adapter.Session{PrivateID: "p", SocketID: "s", Value: v})
			b.DelAll(s)
		}()
		runtime.GC()
		if data.Value() == nil || value.Value() == nil {
			t.Fatal("it is not kept at all")
		}
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		runtime.GC()
		if data.Value() != nil || value.Value() != nil {
			t.Error("it is kept for ever")
		}
	})
}

// FuzzRecoveryOffset holds that no offset of a client brings packets in any
// other order, or twice.
func FuzzRecoveryOffset(f *testing.F) {
	for _, offset := range []string{"", "1", "3", "5", "0", "-1", "00000002", "zzzzzzzzzzzzzzzzzzz", "2\x00", "A"} {
		f.Add(offset)
	}
	f.Fuzz(func(t *testing.T, offset string) {
		b := newBed(t, roomy)
		s := b.add("s")
		for _, event := range []string{"a", "b", "c", "d"} {
			b.emit(event)
		}
		b.cut(s)
		b.emit("e")
		if _, missed := b.restore("s", offset); !strings.HasSuffix("bcde", missed) {
			t.Errorf("%q brings %q", offset, missed)
		}
	})
}

// BenchmarkRecoveryRestore restores a session that missed one of a hundred
// packets.
func BenchmarkRecoveryRestore(b *testing.B) {
	host := mute{adaptertest.NewHost("/")}
	bounds := roomy
	bounds.MaxPackets, bounds.MaxBytes = 10_000, 1<<30
	host.Recover(bounds)
	backend := adapter.Memory()
	a, err := backend.Open(host)
	if err != nil {
		b.Fatal(err)
	}
	a.Add(adaptertest.NewSocket("s"), "room")
	_ = a.Broadcast(packet, adapter.Selector{}, adapter.Flags{})
	r := a.(adapter.Recoverer)
	r.PersistSession(adapter.Session{PrivateID: "p", SocketID: "s", Rooms: []string{"room", "more", "most"}})
	for i := range 9_900 {
		room := "other"
		if i%100 == 0 {
			room = "room"
		}
		_ = a.Broadcast(packet, adapter.Selector{Rooms: []string{room}}, adapter.Flags{})
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.RestoreSession(b.Context(), "p", "1", func(adapter.Session, []*adapter.Packet) bool { return false }); err != nil {
			b.Fatal(err)
		}
	}
	_ = backend.Close(context.Background())
}

// BenchmarkRecoveryBroadcast is a broadcast that is kept.
func BenchmarkRecoveryBroadcast(b *testing.B) {
	for _, receivers := range []int{1, 100} {
		for _, on := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/%v", receivers, on), func(b *testing.B) {
				host := mute{adaptertest.NewHost("/")}
				if on {
					host.Recover(adapter.Recovery{MaxDisconnection: time.Minute, MaxPackets: 10_000, MaxBytes: 16 << 20, MaxSessions: 1})
				}
				backend := adapter.Memory()
				a, err := backend.Open(host)
				if err != nil {
					b.Fatal(err)
				}
				for i := range receivers {
					a.Add(adaptertest.NewSocket(fmt.Sprint(i)), "room")
				}
				sel := adapter.Selector{Rooms: []string{"room"}}
				b.ReportAllocs()
				for b.Loop() {
					_ = a.Broadcast(packet, sel, adapter.Flags{})
				}
				_ = backend.Close(context.Background())
			})
		}
	}
}

// mute is a host whose sockets record nothing.
type mute struct{ *adaptertest.Host }

func (mute) Deliver(_ *adapter.Packet, _ adapter.Flags, to iter.Seq[adapter.Socket]) {
	for range to {
	}
}
