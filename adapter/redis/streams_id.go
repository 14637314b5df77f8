package redis

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

// streamID is the id of an entry. The zero value comes before all entries.
type streamID struct{ ms, seq uint64 }

// parseStreamID reads an id in its whole form: digits, a dash, digits.
func parseStreamID(text string) (id streamID, ok bool) {
	ms, seq, found := strings.Cut(text, "-")
	if !found {
		return streamID{}, false
	}
	var err1, err2 error
	id.ms, err1 = strconv.ParseUint(ms, 10, 64)
	id.seq, err2 = strconv.ParseUint(seq, 10, 64)
	// What this writes is what Redis wrote, so that an id is one text only.
	return id, err1 == nil && err2 == nil && id.String() == text
}

func (id streamID) String() string {
	return strconv.FormatUint(id.ms, 10) + "-" + strconv.FormatUint(id.seq, 10)
}

func (id streamID) compare(other streamID) int {
	return cmp.Or(cmp.Compare(id.ms, other.ms), cmp.Compare(id.seq, other.seq))
}

// next returns the least id after this one.
func (id streamID) next() streamID {
	if id.seq == math.MaxUint64 {
		return streamID{id.ms + 1, 0}
	}
	return streamID{id.ms, id.seq + 1}
}

// prev returns the greatest id before this one, which is not zero.
func (id streamID) prev() streamID {
	if id.seq == 0 {
		return streamID{id.ms - 1, math.MaxUint64}
	}
	return streamID{id.ms, id.seq - 1}
}

// streamHash is the hash by which Node chooses the stream of a namespace: of
// its UTF-16 units, in 32 bits.
func streamHash(name string) int32 {
	var h int32
	for _, r := range name {
		if r >= 0x10000 {
			r -= 0x10000
			h = h*31 + (0xd800 + r>>10)
			r = 0xdc00 + r&0x3ff
		}
		h = h*31 + r
	}
	return h
}

// streamOf returns the stream of a namespace.
func (s *streamConfig) streamOf(nsp string) string {
	if s.count == 1 {
		return s.name
	}
	i := int(streamHash(nsp)) % s.count
	if i < 0 {
		i += s.count // where Node writes, nobody reads
	}
	return s.name + "-" + strconv.Itoa(i)
}

// names returns all streams.
func (s *streamConfig) names() []string {
	if s.count == 1 {
		return []string{s.name}
	}
	names := make([]string, s.count)
	for i := range names {
		names[i] = s.name + "-" + strconv.Itoa(i)
	}
	return names
}
