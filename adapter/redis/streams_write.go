package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// seqField is the field of an entry that holds its number among those of its
// sender. Node has no such field, and does not look at it.
const seqField = "seq"

// recallPage is how many entries are read at once in search of own ones.
const recallPage = 1000

// streamEntry is the head of an entry on its way to its stream.
type streamEntry struct {
	uid, nsp string
	kind     clusterType
	seq      uint64

	// unsure says that it was sent, and that no answer came.
	unsure bool
}

// args are those of Node's XADD, in its order, and the number.
func (e *streamEntry) args(m *outgoing, maxLen int) []any {
	return []any{
		"xadd", m.channel, "maxlen", "~", maxLen, "*",
		"uid", e.uid, "nsp", e.nsp, "type", strconv.Itoa(int(e.kind)), "data", m.payload,
		seqField, strconv.FormatUint(e.seq, 10),
	}
}

// session is the head of a session on its way to its key.
type session struct {
	until time.Time // it is not to be kept for longer
}

// addCmd is a command that the client must not repeat on its own.
type addCmd struct{ *goredis.Cmd }

func (addCmd) NoRetry() bool { return true }

// command returns what is sent for a message.
func (p *publisher) command(ctx context.Context, m *outgoing) goredis.Cmder {
	switch {
	case m.entry != nil:
		return addCmd{goredis.NewCmd(ctx, m.entry.args(m, p.maxLen)...)}
	case m.session != nil:
		ms := max(1, time.Until(m.session.until).Milliseconds())
		return addCmd{goredis.NewCmd(ctx, "set", m.channel, m.payload, "px", ms)}
	default:
		cmd := publishCmd{goredis.NewIntCmd(ctx, "publish", m.channel, m.payload)}
		cmd.SetVal(noReply)
		return cmd
	}
}

// outcome is what became of a message.
type outcome uint8

const (
	accepted outcome = iota
	refused          // Redis has said no, and may say yes later
	rejected         // Redis has said no
	unknown          // it was sent, and no answer came
)

// outcomeOf returns what the answer to a command says.
func outcomeOf(cmd goredis.Cmder) outcome {
	err := cmd.Err()
	switch {
	case isAnswer(err):
		if passes(err) {
			return refused
		}
		return rejected
	case err != nil:
		return unknown
	}
	switch cmd := cmd.(type) {
	case publishCmd:
		if cmd.Val() == noReply {
			return unknown
		}
	case addCmd:
		if cmd.Val() == nil {
			return unknown
		}
	}
	return accepted
}

// isAnswer reports whether an error is what Redis said.
func isAnswer(err error) bool {
	var answer goredis.Error
	return errors.As(err, &answer)
}

// passes reports whether an error answer tells of a state that ends.
func passes(err error) bool {
	for _, prefix := range []string{
		"OOM", "MISCONF", "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "NOREPLICAS", "BUSY",
	} {
		if goredis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return strings.Contains(err.Error(), "max number of clients")
}

// keep returns the entries of what was sent that are to be sent again, in
// their order: those that Redis does not have for certain, and has not
// rejected. An entry that was overtaken by a later one of its namespace is
// lost, because entries are in the order of their numbers.
func (p *publisher) keep(sent []outgoing, outcomes []outcome) (again []outgoing) {
	overtaken := make(map[string]bool)
	for i := len(sent) - 1; i >= 0; i-- {
		entry := sent[i].entry
		if entry == nil {
			continue
		}
		if outcomes[i] == accepted {
			overtaken[entry.uid] = true
		}
		if (outcomes[i] == refused || outcomes[i] == unknown) && overtaken[entry.uid] {
			outcomes[i] = rejected
		}
	}
	for i, m := range sent {
		if m.entry != nil && (outcomes[i] == refused || outcomes[i] == unknown) {
			m.entry.unsure = m.entry.unsure || outcomes[i] == unknown
			again = append(again, m)
		}
	}
	return again
}

// recall finds out which of the entries that were sent without an answer are
// in their streams, and takes them out of the batch.
func (p *publisher) recall(ctx context.Context) error {
	if !slices.ContainsFunc(p.batch, func(m outgoing) bool { return m.entry != nil && m.entry.unsure }) {
		return nil
	}
	streams := make(map[string]map[string]uint64) // the last number found, by uid
	for _, m := range p.batch {
		if m.entry != nil && m.entry.unsure && streams[m.channel] == nil {
			streams[m.channel] = make(map[string]uint64)
		}
	}
	for stream, found := range streams {
		if err := p.find(ctx, stream, found); err != nil {
			return err
		}
	}
	kept := p.batch[:0]
	for _, m := range p.batch {
		if m.entry != nil && m.entry.unsure {
			if m.entry.seq <= streams[m.channel][m.entry.uid] {
				p.published.Add(1)
				continue
			}
			m.entry.unsure = false
		}
		kept = append(kept, m)
	}
	clear(p.batch[len(kept):])
	p.batch = kept
	return nil
}

// find notes the last number of each sender among the entries that were added
// since this node knew of an own one.
func (p *publisher) find(ctx context.Context, stream string, found map[string]uint64) error {
	from := "-"
	if last, ok := p.lastIDs[stream]; ok {
		from = last
	}
	for {
		entries, err := p.client.XRangeN(ctx, stream, from, "+", recallPage).Result()
		if err != nil {
			return err
		}
		for _, e := range entries {
			if id, ok := parseStreamID(e.ID); ok {
				item := newStreamItem(id, &e)
				found[item.uid] = max(found[item.uid], item.seq)
			}
		}
		if len(entries) < recallPage {
			return nil
		}
		from = "(" + entries[len(entries)-1].ID
	}
}
