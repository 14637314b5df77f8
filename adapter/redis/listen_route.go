package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// run implements [listener]. It owns the subscribers, and returns when they
// have ended.
func (l *channelListener) run(ctx context.Context) {
	defer close(l.done)
	defer l.running.Wait()
	if l.cluster == nil {
		l.mu.Lock()
		l.listenTo(ctx, l.client)
		l.mu.Unlock()
	}
	ticker := time.NewTicker(routeInterval)
	defer ticker.Stop()
	for {
		err := l.route(ctx)
		if err == nil {
			l.check()
		} else if ctx.Err() == nil {
			l.link.deaf(err)
		}
		var again <-chan time.Time
		if err != nil || l.misses() {
			again = time.After(routePause)
		}
		select {
		case <-l.wake:
			if again == nil {
				continue
			}
			// What cannot be had now is not asked for in haste.
			select {
			case <-again:
			case <-ctx.Done():
				return
			}
		case <-again:
		case <-ticker.C:
			l.doubtAll()
		case <-ctx.Done():
			return
		}
	}
}

// misses reports whether a channel is still to be routed.
func (l *channelListener) misses() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.unrouted) > 0 || l.stale
}

// doubtAll makes route look at everything.
func (l *channelListener) doubtAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cluster != nil {
		for _, e := range l.ears {
			e.doubtful = true
		}
	}
}

// route lets each channel be heard from the server that has it.
func (l *channelListener) route(ctx context.Context) error {
	l.mu.Lock()
	reload := l.stale && l.cluster != nil
	l.stale = false
	var names []string
	for name := range l.unrouted {
		names = append(names, name)
	}
	doubtful := false
	for _, e := range l.ears {
		doubtful = doubtful || e.doubtful
	}
	if doubtful {
		for name, c := range l.channels {
			if c.ear != nil && c.ear.doubtful {
				names = append(names, name)
			}
		}
	}
	for _, e := range l.ears {
		e.doubtful = false
	}
	l.mu.Unlock()
	if reload {
		l.cluster.ReloadState(ctx)
	}
	for _, name := range names {
		server, err := l.owner(ctx, name)
		if err != nil {
			l.doubtAll()
			return err
		}
		l.assign(ctx, name, server)
	}
	l.endIdle()
	return nil
}

// owner returns a client of the server that has a channel.
func (l *channelListener) owner(ctx context.Context, name string) (goredis.UniversalClient, error) {
	if l.cluster == nil {
		return l.client, nil
	}
	return l.cluster.MasterForKey(ctx, name)
}

func (l *channelListener) assign(ctx context.Context, name string, server goredis.UniversalClient) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.channels[name]
	if c == nil {
		return
	}
	e := l.listenTo(ctx, server)
	if c.ear == e {
		return
	}
	if c.ear != nil {
		c.ear.sub.remove(c.sub)
		c.ear.channels--
	}
	l.put(c, e)
}

// put lets a channel be heard by an ear. l.mu is held.
func (l *channelListener) put(c *heardChannel, e *ear) {
	delete(l.unrouted, c.sub.name)
	c.ear = e
	e.channels++
	e.sub.add(c.sub)
}

// listenTo returns the ear at a server. l.mu is held.
func (l *channelListener) listenTo(ctx context.Context, server goredis.UniversalClient) *ear {
	e := l.ears[server]
	if e == nil {
		e = &ear{listener: l}
		e.sub = newSubscriber(server, e, l.handle)
		e.sub.ear = e
		ctx, e.cancel = context.WithCancel(ctx)
		l.ears[server] = e
		l.running.Go(func() { e.sub.run(ctx) })
	}
	return e
}

// endIdle ends the ears that have nothing to listen to.
func (l *channelListener) endIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cluster == nil {
		return
	}
	for server, e := range l.ears {
		if e.channels == 0 {
			e.cancel()
			delete(l.ears, server)
		}
	}
}

// check tells the link when everything is heard.
func (l *channelListener) check() {
	l.mu.Lock()
	all := len(l.unrouted) == 0
	for _, e := range l.ears {
		all = all && e.hears
	}
	l.mu.Unlock()
	if all {
		l.link.hearing()
	}
}

// deaf implements [keeper].
func (e *ear) deaf(cause error) {
	l := e.listener
	l.mu.Lock()
	e.hears, e.doubtful, l.stale = false, true, true
	l.mu.Unlock()
	l.link.deaf(cause)
	l.signal()
}

// hearing implements [keeper].
func (e *ear) hearing() {
	l := e.listener
	l.mu.Lock()
	e.hears = true
	l.mu.Unlock()
	l.check()
}

// touch implements [keeper].
func (e *ear) touch() { e.listener.link.touch() }

// confirmed notes that a channel is heard, if the confirmation is that of its
// last subscription, which is not to change meanwhile: the channel may be given
// up and subscribed to again at any moment.
func (e *ear) confirmed(name string) (awaited bool) {
	l := e.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	last, awaited := e.sub.confirmed(name)
	if c := l.channels[name]; last && c != nil && c.ear == e {
		l.settle(c)
	}
	return awaited
}

// unsubscribed looks for another place for a channel that Redis has ended
// because its slot has moved.
func (e *ear) unsubscribed(names ...string) {
	l := e.listener
	l.mu.Lock()
	for _, name := range names {
		if c := l.channels[name]; c != nil && c.ear == e {
			e.sub.forget(name)
			e.channels--
			c.ear = nil
			l.unrouted[name] = struct{}{}
			l.stale = true
		}
	}
	l.mu.Unlock()
	l.signal()
}

// elsewhere reports whether an answer says that a slot is at another server,
// and then looks for the channels that were asked for in vain.
func (e *ear) elsewhere(err error) bool {
	slot, ok := movedSlot(err)
	if !ok {
		return false
	}
	var names []string
	for _, name := range e.sub.missing() {
		if slotOf(name) == slot {
			names = append(names, name)
		}
	}
	e.unsubscribed(names...)
	return true
}

// movedSlot returns the slot that a server says it has not got.
func movedSlot(err error) (int, bool) {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return 0, false
	}
	kind, rest, _ := strings.Cut(reply.Error(), " ")
	if kind != "MOVED" && kind != "ASK" {
		return 0, false
	}
	number, _, _ := strings.Cut(rest, " ")
	slot, err := strconv.Atoi(number)
	return slot, err == nil
}

// slots is how many slots a Redis Cluster has.
const slots = 16384

// slotOf returns the slot of a channel: CRC-16/XMODEM of the name, or of what
// is between the first braces if that is not empty (Redis Cluster
// specification, "Key distribution model").
func slotOf(name string) int {
	if _, after, ok := strings.Cut(name, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok && tag != "" {
			name = tag
		}
	}
	crc := uint16(0)
	for i := range len(name) {
		crc ^= uint16(name[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % slots)
}
