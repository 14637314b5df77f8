package adapter

import (
	"container/list"
	"iter"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// recoveryLog is what the in-memory adapter of one namespace keeps for clients
// that were cut off: their sessions, and the packets of the last while.
//
// Packets are numbered from 1, without a gap, in the order in which they are
// kept. The number in base 36 is the offset. It may be guessed, and need not
// be a secret: only together with the private id of a session it is worth
// something.
//
// Lock order: mu comes before all locks of the index. A packet is numbered and
// delivered under it, so that every socket is sent packets in the order of
// their numbers.
type recoveryLog struct {
	bounds  Recovery
	backend *memory // counts what is trimmed

	// next is the number of the next packet. It is written under mu.
	next atomic.Uint64

	mu       sync.Mutex
	closed   bool
	packets  []keptPacket // those before head are gone
	head     int
	bytes    int
	sessions map[string]*list.Element // by private id
	oldest   list.List                // of *keptSession, in the order of their time
	sweeper  *time.Timer              // nil while nothing is kept
}

type keptPacket struct {
	packet        *Packet
	rooms, except []string
	size          int
	at            time.Time
}

type keptSession struct {
	Session
	at time.Time

	// changed and restored are those of its track. sent is where a client is
	// that has received all it was sent.
	changed        uint64
	sent, restored mark
}

// A mark says that a client whose last packet has one number missed nothing
// before another one, however far they lie apart.
type mark struct{ last, next uint64 }

// track is what the log notes about a socket in the index.
type track struct {
	// last is the number of the last packet that was sent to the socket, 0
	// for none. It is guarded by recoveryLog.mu.
	last uint64

	// restored is where the client was when its session was restored; next is
	// 0 if none was. It is guarded by recoveryLog.mu.
	restored mark

	// changed is a number that the log had not passed when the socket last
	// joined or left a room: packets from there on found it in the rooms in
	// which it is now.
	changed atomic.Uint64
}

// packetOverhead is about what the log needs for a packet beside its bytes.
const packetOverhead = 128

func newRecoveryLog(bounds Recovery, backend *memory) *recoveryLog {
	l := &recoveryLog{bounds: bounds, backend: backend, sessions: make(map[string]*list.Element)}
	l.next.Store(1)
	return l
}

func (l *recoveryLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.packets, l.head, l.bytes = nil, 0, 0
	clear(l.sessions)
	l.oldest.Init()
	if l.sweeper != nil {
		l.sweeper.Stop()
	}
}

// The methods below are called with the lock.

// first returns the number of the oldest packet that is kept, or next.
func (l *recoveryLog) first() uint64 {
	return l.next.Load() - uint64(len(l.packets)-l.head)
}

// append gives a packet its number, keeps it, and returns the packet with its
// offset.
func (l *recoveryLog) append(p *Packet, sel Selector) (*Packet, uint64) {
	now := time.Now()
	l.expire(now)
	number := l.next.Load()
	p = withOffset(p, number)
	size := len(p.Args) + packetOverhead
	for _, names := range [][]string{sel.Rooms, sel.Except} {
		for _, name := range names {
			size += len(name)
		}
	}
	for _, a := range p.Attachments {
		size += len(a)
	}
	l.packets = append(l.packets, keptPacket{p, sel.Rooms, sel.Except, size, now})
	l.bytes += size
	l.next.Store(number + 1)
	for len(l.packets)-l.head > l.bounds.MaxPackets || l.bytes > l.bounds.MaxBytes {
		l.drop()
		l.backend.packetsTrimmed.Add(1)
	}
	l.compact()
	l.sweepLater()
	return p, number
}

// withOffset appends the offset to the arguments of an event, whose name makes
// sure that there is one before it.
func withOffset(p *Packet, number uint64) *Packet {
	args := make([]byte, 0, len(p.Args)+16)
	args = append(args, p.Args[:len(p.Args)-1]...)
	args = append(args, `,"`...)
	args = strconv.AppendUint(args, number, 36)
	return &Packet{Args: append(args, `"]`...), Attachments: p.Attachments}
}

// drop forgets the oldest packet.
func (l *recoveryLog) drop() {
	l.bytes -= l.packets[l.head].size
	l.packets[l.head] = keptPacket{}
	l.head++
}

// compact gives the room of forgotten packets to new ones.
func (l *recoveryLog) compact() {
	rest := l.packets[l.head:]
	switch {
	case len(rest) == 0:
		l.packets, l.head = nil, 0
	case l.head > len(rest):
		if cap(l.packets) > 4*len(rest) && cap(l.packets) > 64 {
			l.packets = append([]keptPacket(nil), rest...)
		} else {
			n := copy(l.packets, rest)
			clear(l.packets[n:])
			l.packets = l.packets[:n]
		}
		l.head = 0
	}
}

// expire forgets what has passed its time.
func (l *recoveryLog) expire(now time.Time) {
	limit := now.Add(-l.bounds.MaxDisconnection)
	for l.head < len(l.packets) && l.packets[l.head].at.Before(limit) {
		l.drop()
	}
	for e := l.oldest.Front(); e != nil && e.Value.(*keptSession).at.Before(limit); e = l.oldest.Front() {
		l.remove(e)
	}
}

// sweepLater has the log looked at again when nobody else does, or the last
// packets before a silence would stay for ever.
func (l *recoveryLog) sweepLater() {
	if l.sweeper == nil {
		l.sweeper = time.AfterFunc(l.bounds.MaxDisconnection, l.sweep)
	}
}

func (l *recoveryLog) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(time.Now())
	l.compact()
	l.sweeper = nil
	if !l.closed && (len(l.packets) > 0 || l.oldest.Len() > 0) {
		l.sweepLater()
	}
}

func (l *recoveryLog) insert(s *keptSession) {
	if e := l.sessions[s.PrivateID]; e != nil {
		l.remove(e)
	}
	l.sessions[s.PrivateID] = l.oldest.PushBack(s)
	if l.oldest.Len() > l.bounds.MaxSessions {
		l.remove(l.oldest.Front())
		l.backend.sessionsTrimmed.Add(1)
	}
	l.sweepLater()
}

func (l *recoveryLog) remove(e *list.Element) {
	delete(l.sessions, l.oldest.Remove(e).(*keptSession).PrivateID)
}

// since returns the number of the first packet that a client may have missed
// whose last one has the number received, 0 for none. It reports false if that
// is not known, or if one of the packets from there on is not kept any more.
//
// A client that had received all that it was sent missed at most what came
// when it was cut off, be its offset ever so old; else every packet since its
// offset must be here. Rooms that the socket joined or left meanwhile make it
// impossible to say which of them it was sent.
func (l *recoveryLog) since(s *keptSession, received uint64) (from uint64, ok bool) {
	switch {
	case received == s.sent.last:
		from = s.sent.next
	case s.restored.next >= s.changed && received == s.restored.last:
		from = s.restored.next
	case received >= s.changed && received < s.sent.last:
		from = received + 1
	default:
		return 0, false
	}
	return from, from >= l.first()
}

// missed returns the packets from a number on that were sent to a session, and
// the number of the last one.
func (l *recoveryLog) missed(s *keptSession, from uint64) (packets []*Packet, last uint64) {
	first := l.first()
	for i := from - first; i < l.next.Load()-first; i++ {
		if p := &l.packets[l.head+int(i)]; p.concerns(&s.Session) {
			packets, last = append(packets, p.packet), first+i
		}
	}
	return packets, last
}

// parseOffset returns the number of a packet.
func parseOffset(offset string) (number uint64, ok bool) {
	if offset == "" {
		return 0, true
	}
	number, err := strconv.ParseUint(offset, 36, 64)
	return number, err == nil && number > 0
}

func (p *keptPacket) concerns(s *Session) bool {
	return (len(p.rooms) == 0 || slices.ContainsFunc(p.rooms, s.in)) && !slices.ContainsFunc(p.except, s.in)
}

func (s *Session) in(room string) bool { return room == s.SocketID || slices.Contains(s.Rooms, room) }

// noting notes for each of the sockets that it was sent a packet.
func noting(number uint64, to iter.Seq[Socket]) iter.Seq[Socket] {
	return func(yield func(Socket) bool) {
		for s := range to {
			s.Membership().track.last = number
			if !yield(s) {
				return
			}
		}
	}
}
