package redis

import (
	"hash/maphash"
	"strconv"

	goredis "github.com/redis/go-redis/v9"
)

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

// digestSeed is that of all digests of this process.
var digestSeed = maphash.MakeSeed()

// digest tells the entry from others that have the same id.
func (e *streamItem) digest() uint64 {
	var h maphash.Hash
	h.SetSeed(digestSeed)
	_, _ = h.WriteString(e.uid)
	maphash.WriteComparable(&h, e.seq)
	_, _ = h.WriteString(e.data)
	return h.Sum64()
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
