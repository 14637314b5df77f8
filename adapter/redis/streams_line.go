package redis

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// line keeps what the clients of this node are to receive in order, as long as
// something in it waits for the place that it gets in the stream. It is empty
// most of the time, and always if there is no recovery.
//
// What waits is delivered by the reader of the stream, in the order of the
// stream, with its offset. So whoever has received an event has received all
// before it in the stream, and its offset says where to go on. What has waited
// in vain is delivered without offset.
//
// No lock is held while an item is executed, for that may come back here.
type line struct {
	// deliver sends an event to the selected sockets of this node.
	deliver func(p *adapter.Packet, sel adapter.Selector, flags adapter.Flags)

	// apply carries out a change on this node.
	apply func(*cluster.Message)

	// patience is for how long the clients of this node may wait for an
	// event, in order to receive it with its offset.
	patience time.Duration

	withoutOffset *atomic.Uint64 // counts events that are delivered without

	max int // how many items may be there before nothing waits any more

	mu      sync.Mutex
	items   []*lineItem
	waiting int // items that wait
	closed  bool
	busy    bool        // somebody executes items
	idle    *sync.Cond  // on mu: nobody does any more
	timer   *time.Timer // runs for the oldest item; nil before the first

	// seen is the number of the last own entry that was found in the stream.
	seen uint64

	// blankFirst and blankLast are the first and the last own event that was
	// delivered without offset and is not known to be in the stream, nor to be
	// lost; 0 if there is none.
	blankFirst, blankLast uint64

	// floor is the offset that a client of this node must have reached: below
	// it something was delivered without offset.
	floor streamID

	// kept are the ids of sockets whose sessions are kept, and that have not
	// left yet.
	kept map[string]struct{}
}

// lineItem is a delivery, or anything else that keeps its place.
type lineItem struct {
	seq    uint64 // of the entry that it waits for; 0 if it does not wait
	until  time.Time
	packet *adapter.Packet
	sel    adapter.Selector
	flags  adapter.Flags

	// change changes who receives, instead of a delivery; turn is closed
	// instead of either.
	change *cluster.Message
	turn   chan struct{}

	running bool
}

func newLine(limit int, patience time.Duration, deliver func(*adapter.Packet, adapter.Selector, adapter.Flags), apply func(*cluster.Message)) *line {
	l := &line{max: limit, patience: patience, deliver: deliver, apply: apply, kept: make(map[string]struct{}), withoutOffset: new(atomic.Uint64)}
	l.idle = sync.NewCond(&l.mu)
	return l
}

// wait appends a delivery that waits for an entry. push queues the entry and
// returns its number, and whether it may come soon; it is called with mu held.
// An entry with a number and an error was dropped.
func (l *line) wait(item *lineItem, push func() (seq uint64, soon bool, err error)) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return adapter.ErrClosed
	}
	seq, soon, err := push()
	if err == nil && soon && len(l.items) < l.max {
		item.seq, item.until = seq, time.Now().Add(l.patience)
		l.waiting++
		if l.items = append(l.items, item); len(l.items) == 1 {
			l.arm()
		}
		l.mu.Unlock()
		return nil
	}
	if seq > 0 {
		l.giveUp() // what came before
		l.blank(seq)
	}
	l.items = append(l.items, item)
	l.mu.Unlock()
	l.drain(helpMost)
	return err
}

// follow executes what does not wait, after everything that came before it:
// at once if nothing waits.
func (l *line) follow(item *lineItem) error {
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return adapter.ErrClosed
	case len(l.items) == 0:
		l.mu.Unlock()
		l.execute(item, "")
		return nil
	}
	full := len(l.items) >= l.max
	if full {
		l.giveUp()
	}
	l.items = append(l.items, item)
	l.mu.Unlock()
	if full {
		l.drain(helpMost)
	}
	return nil
}

func (l *line) execute(item *lineItem, offset string) {
	switch {
	case item.turn != nil:
		close(item.turn)
	case item.change != nil:
		l.apply(item.change)
	case offset != "":
		l.deliver(appendOffset(item.packet, offset), item.sel, item.flags)
	default:
		l.deliver(item.packet, item.sel, item.flags)
	}
}

// arm starts the timer for the oldest item: at once if it does not wait. mu is
// held.
func (l *line) arm() {
	if l.closed || len(l.items) == 0 {
		return
	}
	d := time.Duration(0)
	if l.items[0].seq != 0 {
		d = time.Until(l.items[0].until)
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.expire)
		return
	}
	l.timer.Reset(d)
}

// expire gives up what has waited for too long. What came later than that is
// given up too: Redis is slow or away.
func (l *line) expire() {
	l.mu.Lock()
	switch {
	case len(l.items) == 0 || l.items[0].seq == 0:
	case time.Now().Before(l.items[0].until):
		l.arm()
	default:
		l.giveUp()
	}
	l.mu.Unlock()
	l.drain(noLimit)
}

// flush gives up waiting, because nothing comes any more.
func (l *line) flush() {
	l.mu.Lock()
	l.giveUp()
	l.mu.Unlock()
	l.drain(noLimit)
}

// giveUp lets nothing wait any more. mu is held; drain is to follow.
func (l *line) giveUp() {
	if l.waiting == 0 {
		return // the line may be long
	}
	for _, item := range l.items {
		l.release(item)
	}
}

// release lets an item not wait any more, if it did, because it waits in vain.
// mu is held.
func (l *line) release(item *lineItem) {
	if item.seq != 0 {
		l.blank(item.seq)
		item.seq = 0
		l.waiting--
	}
}

// blank notes an event that is delivered without its offset. mu is held.
func (l *line) blank(seq uint64) {
	l.withoutOffset.Add(1)
	if l.blankFirst == 0 {
		l.blankFirst = seq
	}
	l.blankLast = seq
}

// Who emits executes no more than helpMost items that are not his own, so that
// he is not held up by all that has waited; the timer sees to the rest.
const (
	helpMost = 64
	noLimit  = math.MaxInt
)

// drain executes what does not wait, up to a number of items, unless somebody
// else is about to.
func (l *line) drain(most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.busy {
		l.busy = true
		l.drainLocked(most)
		if l.closed {
			l.drainLocked(noLimit) // the timer sees to nothing any more
		}
		l.rest()
	}
}

// rest ends being busy. mu is held.
func (l *line) rest() {
	l.busy = false
	l.arm()
	l.idle.Broadcast()
}

// drainLocked is drain with mu held, by whoever is busy.
func (l *line) drainLocked(most int) {
	for ; most > 0 && len(l.items) > 0 && l.items[0].seq == 0; most-- {
		l.first("")
	}
}

// first executes the first item. It stays in the line until it has been
// executed, so that nothing overtakes it. mu is held, but not meanwhile.
func (l *line) first(offset string) {
	item := l.items[0]
	if item.seq != 0 {
		l.waiting--
	}
	item.seq, item.running = 0, true
	l.mu.Unlock()
	l.execute(item, offset)
	l.mu.Lock()
	l.items[0] = nil
	if l.items = l.items[1:]; len(l.items) == 0 {
		l.items = nil
	}
}

// found is called by the reader for every own entry of the stream, in order.
// It returns when what waited for it has been executed.
//
// Own entries are in the order of their numbers, and their deliveries are too:
// what waits for an earlier one waits in vain.
func (l *line) found(seq uint64, id streamID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy {
		l.idle.Wait()
	}
	if seq <= l.seen {
		return // it repeats another
	}
	l.seen = seq
	for _, item := range l.items {
		if item.seq < seq {
			l.release(item)
		}
	}
	if l.blankFirst != 0 && l.blankFirst <= seq {
		if l.floor.compare(id) < 0 { // else Redis has failed over
			l.floor = id
		}
		l.blankFirst = seq + 1
		if l.blankLast <= seq {
			l.blankFirst, l.blankLast = 0, 0
		}
	}
	if len(l.items) == 0 {
		return
	}
	l.busy = true
	l.drainLocked(noLimit)
	if len(l.items) > 0 && l.items[0].seq == seq {
		l.first(id.String())
		l.drainLocked(noLimit)
	}
	l.rest()
}

// state returns the floor of offsets, and whether something was delivered
// without offset of which it is not known where in the stream it is.
func (l *line) state() (floor streamID, unsure bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.floor, l.blankFirst != 0
}

// keep notes that the session of a socket is kept, which is about to leave.
func (l *line) keep(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept[id] = struct{}{}
}

// leave calls remove, which takes a socket out of the index. Before, it
// delivers what waits to the socket, because the program may have sent it a
// last word; not if its session is kept, whose client gets it when it is back.
func (l *line) leave(s adapter.Socket, deliver func(*lineItem), remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer remove()
	if _, kept := l.kept[s.ID()]; kept {
		delete(l.kept, s.ID())
		return
	}
	if len(l.items) == 0 {
		return
	}
	rooms := s.Membership().Rooms()
	for _, item := range l.items {
		switch {
		case item.running || item.turn != nil:
		case item.change != nil:
			rooms = changed(rooms, item.change)
		case matches(item.sel, rooms):
			deliver(item)
		}
	}
}

// changed returns the rooms of a socket after a change.
func changed(rooms []string, m *cluster.Message) []string {
	switch {
	case !matches(m.Selector, rooms):
		return rooms
	case m.Type == cluster.AddSockets:
		return append(slices.Clone(rooms), m.Rooms...)
	case m.Type == cluster.DelSockets:
		own := rooms[0] // which it cannot leave
		return append([]string{own}, slices.DeleteFunc(slices.Clone(rooms[1:]), func(room string) bool {
			return slices.Contains(m.Rooms, room)
		})...)
	default: // disconnected
		return nil
	}
}

// matches reports whether a socket in rooms, its own id among them, is
// selected.
func matches(sel adapter.Selector, rooms []string) bool {
	in := func(name string) bool { return slices.Contains(rooms, name) }
	return rooms != nil && (len(sel.Rooms) == 0 || slices.ContainsFunc(sel.Rooms, in)) && !slices.ContainsFunc(sel.Except, in)
}

// close delivers what is left, without offset.
func (l *line) close() {
	l.mu.Lock()
	l.closed = true
	l.giveUp()
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.drain(noLimit)
}
