package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// routeInterval is how often a listener looks whether every channel is
	// heard where it lies now, routePause how long it waits for news of the
	// cluster when one is not.
	routeInterval = 5 * time.Second
	routePause    = 50 * time.Millisecond

	// settleLimit bounds how long a new subscription may hold up what this
	// node publishes, or Settle.
	settleLimit = time.Second
)

// channelListener is a [listener] of channels that come and go with rooms. In a
// Redis Cluster each sharded channel is heard from the server that has its
// slot: there is one subscriber for each server, and a channel moves from one to
// another when its slot does. Any other Redis has one server for all, and plain
// channels are heard from any server.
//
// Lock order: channelListener.mu, then that of a subscriber.
type channelListener struct {
	client  goredis.UniversalClient
	cluster *goredis.ClusterClient // nil where one server will do for all
	link    *link
	handle  func(*goredis.Message)
	done    chan struct{}
	wake    chan struct{} // holds a token when there is something to route
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows; not held over I/O
	channels map[string]*heardChannel
	unrouted map[string]struct{}
	requests map[string]struct{}
	ears     map[goredis.UniversalClient]*ear
	stale    bool // what is known of the cluster is out of date

	// New subscriptions are numbered by epochs, and unsettled counts those of
	// each epoch that are not confirmed. progress is closed when that changes.
	epoch     uint64
	unsettled map[uint64]int
	progress  chan struct{}
}

// heardChannel is a channel that is listened to.
type heardChannel struct {
	sub   subscription
	users []bus  // one for each add
	ear   *ear   // nil while it is not routed
	epoch uint64 // zero when it has been confirmed once
}

// ear is the subscriber to one server, which reports to it as its keeper.
type ear struct {
	listener *channelListener
	sub      *subscriber
	cancel   context.CancelFunc

	// Guarded by the lock of the listener.
	channels int
	hears    bool
	doubtful bool // it failed, perhaps because its channels have moved
}

func newChannelListener(client goredis.UniversalClient, sharded bool, l *link, handle func(*goredis.Message)) *channelListener {
	s := &channelListener{
		client:    client,
		link:      l,
		handle:    handle,
		done:      make(chan struct{}),
		wake:      make(chan struct{}, 1),
		channels:  make(map[string]*heardChannel),
		unrouted:  make(map[string]struct{}),
		requests:  make(map[string]struct{}),
		ears:      make(map[goredis.UniversalClient]*ear),
		epoch:     1,
		unsettled: make(map[uint64]int),
		progress:  make(chan struct{}),
	}
	if sharded {
		s.cluster, _ = client.(*goredis.ClusterClient)
	}
	return s
}

func (l *channelListener) add(subs ...subscription) {
	l.mu.Lock()
	for _, sub := range subs {
		c := l.channels[sub.name]
		if c == nil {
			c = &heardChannel{sub: sub, epoch: l.epoch}
			l.channels[sub.name] = c
			l.unsettled[l.epoch]++
			if home := l.ears[l.client]; home != nil {
				// Every channel is there: there is nothing to find out.
				l.put(c, home)
			} else {
				l.unrouted[sub.name] = struct{}{}
			}
		}
		c.users = append(c.users, sub.user)
		if sub.request {
			l.requests[sub.name] = struct{}{}
		}
		if sub.peers != "" {
			l.requests[sub.peers] = struct{}{}
		}
	}
	l.mu.Unlock()
	l.signal()
}

func (l *channelListener) remove(subs ...subscription) {
	l.mu.Lock()
	awaited := false
	for _, sub := range subs {
		l.drop(sub.name, sub.user)
		awaited = awaited || !sub.room
	}
	l.mu.Unlock()
	if awaited {
		l.link.touch()
	}
}

// removeAll removes whatever a user has added.
func (l *channelListener) removeAll(user bus) {
	l.mu.Lock()
	for name, c := range l.channels {
		for range len(c.users) {
			l.drop(name, user)
		}
	}
	l.mu.Unlock()
	l.link.touch()
}

// drop takes one user off a channel. l.mu is held.
func (l *channelListener) drop(name string, user bus) {
	c := l.channels[name]
	if c == nil {
		return
	}
	i := slices.Index(c.users, user)
	if i < 0 {
		return
	}
	if c.users = slices.Delete(c.users, i, i+1); len(c.users) > 0 {
		return
	}
	delete(l.channels, name)
	delete(l.unrouted, name)
	delete(l.requests, name)
	delete(l.requests, c.sub.peers)
	l.settle(c)
	if c.ear != nil {
		c.ear.sub.remove(c.sub)
		c.ear.channels--
	}
}

// settle notes that nobody need wait for a channel any more. l.mu is held.
func (l *channelListener) settle(c *heardChannel) {
	if l.unsettled[c.epoch] > 0 {
		if l.unsettled[c.epoch]--; l.unsettled[c.epoch] == 0 {
			delete(l.unsettled, c.epoch)
			close(l.progress)
			l.progress = make(chan struct{})
		}
	}
	c.epoch = 0
}

// settled implements [listener]. A node that learns of a room from what this
// one publishes can thereby count on the room being heard here.
func (l *channelListener) settled(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unsettled) == 0 {
		return
	}
	last := l.epoch
	l.epoch++
	limit := time.NewTimer(settleLimit)
	defer limit.Stop()
	for l.unsettledUntil(last) {
		progress := l.progress
		l.mu.Unlock()
		late := false
		select {
		case <-progress:
		case <-limit.C:
			late = true
		case <-ctx.Done():
			late = true
		}
		l.mu.Lock()
		if late {
			// Once is enough for each of them.
			for epoch := range l.unsettled {
				if epoch <= last {
					delete(l.unsettled, epoch)
				}
			}
			close(l.progress)
			l.progress = make(chan struct{})
		}
	}
}

// settling reports whether a channel is still to be confirmed.
func (l *channelListener) settling(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.channels[name]
	return c != nil && c.epoch != 0
}

func (l *channelListener) unsettledUntil(last uint64) bool {
	for epoch := range l.unsettled {
		if epoch <= last {
			return true
		}
	}
	return false
}

// missing implements [listener]. Channels of rooms are not missed: they come
// and go.
func (l *channelListener) missing() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name := range l.unrouted {
		if !l.channels[name].sub.room {
			names = append(names, name)
		}
	}
	for _, e := range l.ears {
		for _, name := range e.sub.missing() {
			if c := l.channels[name]; c != nil && !c.sub.room {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func (l *channelListener) requestChannels() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, 0, len(l.requests))
	for name := range l.requests {
		names = append(names, name)
	}
	return names
}

func (l *channelListener) probes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, e := range l.ears {
		names = append(names, e.sub.probes()...)
	}
	return names
}

func (l *channelListener) reset(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.ears {
		e.sub.reset(cause)
	}
}

func (l *channelListener) ended() <-chan struct{} { return l.done }

func (l *channelListener) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
