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
		if m.transient() {
			passing = append(passing, m)
		} else {
			stored = append(stored, m)
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

// passBy publishes what is not to wait while Redis takes no entries: requests
// and answers, of which it keeps nothing.
func (p *publisher) passBy(ctx context.Context) {
	for p.link.isUp() && ctx.Err() == nil {
		passing := p.queue.takeTransient(batchMessages)
		if len(passing) == 0 {
			return
		}
		if p.sharded {
			p.dropped.Add(uint64(len(p.sendFollowing(ctx, passing))))
			continue
		}
		if err := p.sendTransient(ctx, passing); err != nil {
			p.link.down(err)
		}
	}
}

// sendTransient publishes messages by plain Pub/Sub. Its error is why the link
// is broken.
func (p *publisher) sendTransient(ctx context.Context, messages []outgoing) error {
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	outcomes := make([]outcome, len(messages))
	node, err := p.node(ctx, nil)
	if err == nil {
		err = p.exec(ctx, node, messages, outcomes)
	} else {
		for i := range outcomes {
			outcomes[i] = rejected // it was not sent
		}
	}
	refusals := 0
	for _, o := range outcomes {
		if o == accepted {
			p.published.Add(1)
			continue
		}
		p.dropped.Add(1)
		if o == rejected {
			refusals++
		}
	}
	if isAnswer(err) {
		p.noteRefused(refusals, err)
		return nil
	}
	return err
}
