package redis

import "context"

// sendApart publishes the batch of a node whose requests and answers go by
// sharded Pub/Sub: what Redis stores first, as requests follow it, then the
// others to the servers that have their channels. Like those that go by plain
// Pub/Sub they are not sent again once Redis is away. It leaves in the batch
// what is to be sent again, and reports false if that is to wait.
func (p *publisher) sendApart(ctx context.Context) bool {
	stored := p.batch[:0]
	var passing []outgoing
	for _, m := range p.batch {
		if m.entry != nil || m.session != nil {
			stored = append(stored, m)
		} else {
			passing = append(passing, m)
		}
	}
	clear(p.batch[len(stored):])
	p.batch = stored
	sent := len(stored) == 0 || p.send(ctx)
	if p.link.isUp() {
		passing = p.sendFollowing(ctx, passing)
	}
	p.dropped.Add(uint64(len(passing)))
	return sent
}
