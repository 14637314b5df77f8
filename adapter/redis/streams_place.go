package redis

import (
	"context"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

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
		place, known, err := r.findPlace(ctx)
		if err != nil {
			return err
		}
		if !known { // it began anew, and so does the reader
			place = streamID{}
			r.backend.streams.counters.rewinds.Add(1)
		}
		r.log.Warn("redis: stream went backwards", "stream", r.name, "from", r.pos.String(), "to", last.String(), "reading after", place.String())
		r.rewind(place, known)
	case verify:
		if err := r.verify(ctx, info, last); err != nil {
			return err
		}
	default:
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

// verify looks whether the last entry that was handled is there. If not, and
// there are earlier ones, the server did not have it that took over, and
// perhaps some before it. Instead it may have others, of nodes that found it
// sooner.
func (r *streamReader) verify(ctx context.Context, info *goredis.XInfoStream, last streamID) error {
	if !r.recent.has(r.pos) { // nothing has been handled
		r.countLost(info, last)
		return nil
	}
	place, known, err := r.findPlace(ctx)
	if err != nil {
		return err
	}
	switch {
	case known && place == r.pos:
		r.countLost(info, last)
	case place == (streamID{}): // all were trimmed
		r.note(r.pos.next())
		r.countLost(info, last)
	default:
		r.log.Warn("redis: stream lacks entries that were read, as after a failover", "stream", r.name, "last", r.pos.String(), "reading after", place.String())
		r.rewind(place, true)
	}
	return nil
}

// rewind goes back to a place. Who has not got beyond what was read before
// would miss a part of it, if the stream is the same one; else whatever was
// read of the other.
func (r *streamReader) rewind(place streamID, same bool) {
	hole := place.next()
	if same {
		hole = r.pos.next()
	}
	r.place(place)
	r.note(hole)
	r.read = -1
}

func (r *streamReader) note(hole streamID) {
	r.mu.Lock()
	r.hole = hole
	r.mu.Unlock()
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

// findPlace returns the last entry up to the position that is in the stream and
// was handled. It is known if the reader remembers it; else it came before all
// that it remembers. The zero value means that there is none.
//
// An entry is the same if its content is, too: two servers that are both masters
// for a moment give the same ids to different entries.
func (r *streamReader) findPlace(ctx context.Context) (place streamID, known bool, err error) {
	oldest := r.recent.oldest()
	// Most often it is the first one.
	for from, count := r.pos, int64(1); ; count = restorePage {
		entries, err := r.client.XRevRangeN(ctx, r.name, from.String(), "-", count).Result()
		if err != nil {
			return streamID{}, false, err
		}
		for _, e := range entries {
			id, ok := parseStreamID(e.ID)
			if !ok {
				return streamID{}, false, fmt.Errorf("%w: entry %q", errFormat, e.ID)
			}
			if r.recent.holds(id, newStreamItem(id, &e).digest()) {
				return id, true, nil
			}
			if id.compare(oldest) < 0 {
				return id, false, nil
			}
			from = id.prev()
		}
		if len(entries) < int(count) {
			return streamID{}, false, nil
		}
	}
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

// ring remembers the last ids that were added to it, max of them, each with the
// digest of its entry.
type ring struct {
	max     int
	ids     []streamID
	next    int
	digests map[streamID]uint64
}

func (r *ring) add(id streamID, digest uint64) {
	if r.digests == nil {
		r.digests = make(map[streamID]uint64)
	}
	if r.has(id) {
		r.digests[id] = digest
		return
	}
	if len(r.ids) < r.max {
		r.ids = append(r.ids, id)
	} else {
		delete(r.digests, r.ids[r.next])
		r.ids[r.next] = id
		r.next = (r.next + 1) % r.max
	}
	r.digests[id] = digest
}

func (r *ring) has(id streamID) bool {
	_, ok := r.digests[id]
	return ok
}

func (r *ring) holds(id streamID, digest uint64) bool {
	d, ok := r.digests[id]
	return ok && d == digest
}

// oldest returns the least id that is remembered.
func (r *ring) oldest() streamID {
	if len(r.ids) == 0 {
		return streamID{}
	}
	return slices.MinFunc(r.ids, streamID.compare)
}
