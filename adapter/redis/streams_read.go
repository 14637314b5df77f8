package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspan/roomspan/adapter"
)

const (
	// lookInterval is how often a reader that is behind looks whether entries
	// were trimmed before it came to them.
	lookInterval = time.Second

	// foreignBlock bounds one read on a client that is not ours to close, which
	// is what interrupts it otherwise.
	foreignBlock = time.Second
)

// streams is what the back-end has in the Streams family alone.
type streams struct {
	backend  *Backend
	counters streamCounters
	readers  map[string]*streamReader // by stream; constant; empty if the node only emits
}

func newStreams(b *Backend) *streams {
	s := &streams{backend: b, readers: make(map[string]*streamReader)}
	if b.emits {
		return s // whoever only emits reads nothing
	}
	for _, name := range b.config.streams.names() {
		s.readers[name] = newStreamReader(b, name)
		b.link.unreadable(name, nil)
	}
	return s
}

func (s *streams) start(ctx context.Context) {
	for _, r := range s.readers {
		go r.run(ctx)
	}
}

// wait returns when the readers have ended.
func (s *streams) wait() {
	for _, r := range s.readers {
		<-r.done
	}
}

// streamReader reads one stream for all namespaces, from one goroutine. Its
// position survives every loss of the connection.
type streamReader struct {
	backend *Backend
	name    string
	client  goredis.UniversalClient
	link    *link
	log     *slog.Logger
	count   int64
	block   time.Duration
	started time.Time
	done    chan struct{} // closed when run has ended

	// mu is held while an entry is handled: what comes between two entries
	// takes it.
	mu     sync.Mutex
	placed bool
	pos    streamID // of the last entry that was handled

	// moved is closed when pos has changed; nil if nobody waits for that.
	moved chan struct{}

	// hole is where entries that were read are not in the stream any more,
	// since Redis failed over: who has not got that far would miss them.
	hole streamID

	// repeated are entries that repeat others, and were not handled.
	repeated ring

	// What follows belongs to run.
	recent ring
	read   int64 // entries that were added up to pos; -1: not known
	looked time.Time
}

func newStreamReader(b *Backend, name string) *streamReader {
	r := &streamReader{
		backend: b, name: name, client: b.client, link: b.link, log: b.log,
		count: int64(b.config.streams.readCount), block: b.config.streams.block,
		started: time.Now(), done: make(chan struct{}), read: -1,
		// To find its place when a stream went backwards, and to leave out
		// what comes twice.
		recent: ring{max: b.config.streams.memory}, repeated: ring{max: b.config.streams.memory},
	}
	if !b.owned {
		r.block = min(r.block, foreignBlock)
	}
	return r
}

// run is the goroutine of the reader. It ends with ctx.
func (r *streamReader) run(ctx context.Context) {
	defer close(r.done)
	var pause backoff
	for {
		// The subscriber finds Redis: a failed attempt on a pooled connection
		// makes the client print.
		if !r.link.awaitSubscribed(ctx) {
			return
		}
		err := r.session(ctx, &pause)
		if ctx.Err() != nil {
			return
		}
		r.link.unreadable(r.name, err)
		r.backend.flushLines(r.name)
		select {
		case <-time.After(pause.next()):
		case <-ctx.Done():
			return
		}
	}
}

// session reads until the connection fails.
func (r *streamReader) session(ctx context.Context, pause *backoff) error {
	for first := true; ; first = false {
		if err := r.look(ctx, first); err != nil {
			return err
		}
		r.link.reading(r.name)
		pause.reset()
		for more := true; more && time.Since(r.looked) < lookInterval; {
			entries, err := r.next(ctx)
			if err != nil {
				return err
			}
			for _, e := range entries {
				r.handle(e)
			}
			r.mu.Lock()
			r.tell()
			r.mu.Unlock()
			more = len(entries) > 0
		}
	}
}

// next waits for entries.
func (r *streamReader) next(ctx context.Context) ([]goredis.XMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, r.block+ioTimeout)
	defer cancel()
	got, err := r.client.XRead(ctx, &goredis.XReadArgs{
		Streams: []string{r.name, r.pos.String()}, Count: r.count, Block: r.block,
	}).Result()
	switch {
	case errors.Is(err, goredis.Nil):
		return nil, nil
	case err != nil:
		return nil, err
	case len(got) != 1:
		return nil, fmt.Errorf("redis: %d streams read, not one", len(got))
	}
	return got[0].Messages, nil
}

// handle handles one entry, whatever is in it.
func (r *streamReader) handle(e goredis.XMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, ok := parseStreamID(e.ID)
	if !ok || id.compare(r.pos) <= 0 {
		r.backend.complain(r.name, fmt.Errorf("%w: entry %q", errFormat, e.ID))
		return
	}
	defer func() {
		// The last defence: one bad entry must not end the node.
		if v := recover(); v != nil {
			r.backend.complain(r.name, fmt.Errorf("panic: %v", v))
		}
		r.pos = id
		r.recent.add(id)
		if r.read >= 0 {
			r.read++
		}
	}()
	item := newStreamItem(id, &e)
	n := r.backend.streamNamespace(item.nsp)
	if n == nil || n.stream != r.name {
		return
	}
	repeated, err := n.receiveEntry(item)
	if err != nil {
		r.backend.complain(r.name, err)
	}
	if repeated {
		r.repeated.add(id)
	}
}

// look compares the position with what Redis has: it finds the first one, and
// notices that a stream went backwards, or was trimmed beyond the position. With
// verify it makes sure that the stream is the one that was read.
func (r *streamReader) look(ctx context.Context, verify bool) error {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	info, err := r.client.XInfoStream(ctx, r.name).Result()
	switch {
	case goredis.HasErrorPrefix(err, "no such key"):
		info = &goredis.XInfoStream{LastGeneratedID: "0-0"}
	case err != nil:
		return err
	}
	last, ok := parseStreamID(info.LastGeneratedID)
	if !ok {
		return fmt.Errorf("redis: stream %q: last id %q", r.name, info.LastGeneratedID)
	}
	switch {
	case !r.placed:
		pos, err := r.begin(ctx, last)
		if err != nil {
			return err
		}
		r.place(pos)
	case last.compare(r.pos) < 0:
		pos, err := r.findPlace(ctx)
		if err != nil {
			return err
		}
		if pos == (streamID{}) {
			r.backend.streams.counters.rewinds.Add(1)
		}
		r.log.Warn("redis: stream went backwards", "stream", r.name, "from", r.pos.String(), "to", last.String(), "reading after", pos.String())
		r.place(pos)
		r.read = -1
		r.note(streamID{pos.ms, pos.seq + 1}) // whatever came after pos before
	default:
		if verify {
			if err := r.verify(ctx); err != nil {
				return err
			}
		}
		r.countLost(info, last)
	}
	if last == r.pos {
		r.read = info.EntriesAdded
	}
	r.looked = time.Now()
	return nil
}

func (r *streamReader) place(pos streamID) {
	r.mu.Lock()
	r.pos, r.placed = pos, true
	r.tell()
	r.mu.Unlock()
}

// verify looks whether the last entry that was handled is there. If not, the
// server did not have it that took over, and perhaps some before it.
func (r *streamReader) verify(ctx context.Context) error {
	if !r.recent.has(r.pos) {
		return nil // nothing has been handled
	}
	at := r.pos.String()
	entries, err := r.client.XRangeN(ctx, r.name, at, at, 1).Result()
	if err == nil && len(entries) == 0 {
		r.note(r.pos)
	}
	return err
}

func (r *streamReader) note(hole streamID) {
	r.mu.Lock()
	r.hole = hole
	r.mu.Unlock()
}

// tell wakes who waits for the position. mu is held.
func (r *streamReader) tell() {
	if r.moved != nil {
		close(r.moved)
		r.moved = nil
	}
}

// reach waits until the position is at an entry or after it.
func (r *streamReader) reach(ctx context.Context, id streamID) error {
	for {
		r.mu.Lock()
		if r.placed && id.compare(r.pos) <= 0 {
			r.mu.Unlock()
			return nil
		}
		if r.moved == nil {
			r.moved = make(chan struct{})
		}
		moved := r.moved
		r.mu.Unlock()
		select {
		case <-moved:
		case <-r.done:
			return adapter.ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("redis: stream %q has not been read so far: %w", r.name, ctx.Err())
		}
	}
}

// begin returns the first position: after the last entry, or, if Redis was
// away when the node started, where the stream was then.
func (r *streamReader) begin(ctx context.Context, last streamID) (streamID, error) {
	now, err := r.client.Time(ctx).Result()
	if err != nil {
		return streamID{}, err
	}
	start := streamID{ms: uint64(max(0, now.Add(-time.Since(r.started)).UnixMilli()))}
	if start.compare(last) < 0 {
		return start, nil
	}
	return last, nil
}

// findPlace returns where to go on in a stream that went backwards. If Redis
// failed over to a server that had not everything, it still has entries that
// were read. Else it began anew, and so does the reader.
func (r *streamReader) findPlace(ctx context.Context) (streamID, error) {
	entries, err := r.client.XRevRangeN(ctx, r.name, "+", "-", int64(r.recent.max)).Result()
	if err != nil {
		return streamID{}, err
	}
	for _, e := range entries {
		if id, ok := parseStreamID(e.ID); ok && r.recent.has(id) {
			return id, nil
		}
	}
	return streamID{}, nil
}

// countLost counts entries that were trimmed before they were read. Redis says
// how many were ever added from version 7 on.
func (r *streamReader) countLost(info *goredis.XInfoStream, last streamID) {
	if r.read < 0 || info.EntriesAdded == 0 {
		return
	}
	lost := info.EntriesAdded - info.Length - r.read
	if last == r.pos {
		lost = info.EntriesAdded - r.read
	}
	if lost <= 0 {
		return
	}
	r.read += lost
	r.backend.lost.Add(uint64(lost))
	r.log.Warn("redis: entries trimmed before they were read", "stream", r.name, "entries", lost)
}

// ring remembers the last ids that were added to it, max of them.
type ring struct {
	max  int
	ids  []streamID
	next int
	set  map[streamID]struct{}
}

func (r *ring) add(id streamID) {
	if r.set == nil {
		r.set = make(map[streamID]struct{})
	}
	if len(r.ids) < r.max {
		r.ids = append(r.ids, id)
	} else {
		delete(r.set, r.ids[r.next])
		r.ids[r.next] = id
		r.next = (r.next + 1) % r.max
	}
	r.set[id] = struct{}{}
}

func (r *ring) has(id streamID) bool {
	_, ok := r.set[id]
	return ok
}

// streamItem is an entry whose data has not been looked at.
type streamItem struct {
	id       streamID
	text     string // the id
	uid, nsp string
	kind     string
	seq      uint64 // 0: its sender does not number
	data     string
}

func newStreamItem(id streamID, e *goredis.XMessage) *streamItem {
	field := func(name string) string {
		text, _ := e.Values[name].(string)
		return text
	}
	item := &streamItem{
		id: id, text: e.ID, uid: field("uid"), nsp: field("nsp"), kind: field("type"), data: field("data"),
	}
	item.seq, _ = strconv.ParseUint(field(seqField), 10, 64)
	return item
}

// message takes the data apart.
func (e *streamItem) message() (*clusterMessage, error) {
	kind, err := strconv.Atoi(e.kind)
	if err != nil {
		return nil, errFormat
	}
	m := &clusterMessage{uid: e.uid, nsp: e.nsp, kind: clusterType(kind)}
	return m, m.readEntryData(e.data)
}
