package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

	// recent are entries that were handled, each with its digest. Like what
	// follows it belongs to run.
	recent ring
	read   int64 // entries that were added up to pos; -1: not known
	looked time.Time
}

func newStreamReader(b *Backend, name string) *streamReader {
	r := &streamReader{
		backend: b, name: name, client: b.client, link: b.link, log: b.log,
		count: int64(b.config.streams.readCount), block: b.config.streams.block,
		started: time.Now(), done: make(chan struct{}), read: -1,
		// To find its place in the stream of a server that took over.
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
	item := newStreamItem(id, &e)
	digest := item.digest()
	if r.recent.holds(id, digest) {
		r.pass(id)
		return
	}
	defer func() {
		// The last defence: one bad entry must not end the node.
		if v := recover(); v != nil {
			r.backend.complain(r.name, fmt.Errorf("panic: %v", v))
		}
		r.recent.add(id, digest)
		r.pass(id)
	}()
	n := r.backend.streamNamespace(item.nsp)
	if n == nil || n.stream != r.name {
		return
	}
	repeated, err := n.receiveEntry(item)
	if err != nil {
		r.backend.complain(r.name, err)
	}
	if repeated {
		r.repeated.add(id, digest)
	}
}

// pass moves the position on to an entry. mu is held.
func (r *streamReader) pass(id streamID) {
	r.pos = id
	if r.read >= 0 {
		r.read++
	}
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
