package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// pingInterval is how often a subscriber asks for a sign of life. Two
// intervals without any end the connection.
const pingInterval = 2 * time.Second

var (
	// errDeaf is why a connection on which nothing comes is given up.
	errDeaf = errors.New("redis: no sign of life on the subscribed connection")

	errEnded = errors.New("redis: subscriber ended")
)

// firstSubs is how many subscriptions are made before anything is read: the
// answers to more would pile up at Redis.
const firstSubs = 1000

// subscription is a channel or pattern that is listened to.
type subscription struct {
	name    string
	pattern bool   // name is a pattern
	request bool   // name is the request channel, by which nodes are counted
	sharded bool   // name is a channel of sharded Pub/Sub
	room    bool   // name comes and goes with a room, and nobody waits for it
	sole    bool   // no other node listens to name
	user    bus    // whose a sharded channel is
	peers   string // a channel by which nodes are counted, for one that does not listen to it
}

// keeper is told what becomes of the connection of a subscriber.
type keeper interface {
	deaf(error) // the connection is lost
	hearing()   // all subscriptions of the connection are confirmed
	touch()     // a subscription was confirmed or removed
}

// change is what is to be done on the live connection.
type change struct {
	add  bool
	subs []subscription
}

// subscriber listens on one connection for all namespaces. The reading
// goroutine, run, hands every message to handle before it reads the next; a
// second goroutine writes while a connection lives.
//
// The connections of the client reconnect by themselves, silently. Here each
// serves for one session instead: it is closed at the first error, and a new
// one is made after a pause.
type subscriber struct {
	client goredis.UniversalClient
	keeper keeper
	ear    *ear // nil unless it hears sharded channels
	handle func(*goredis.Message)
	done   chan struct{} // closed when run has ended

	// wake holds a token when there are changes.
	wake chan struct{}

	received atomic.Bool // something came since the last look

	mu          sync.Mutex // guards what follows; not held over I/O
	wanted      map[string]subscription
	unconfirmed map[string]struct{}
	removed     map[string]int // confirmations to come of what is not wanted any more
	changes     []change
	fail        func(error) // ends the present session; nil if there is none
}

func newSubscriber(client goredis.UniversalClient, k keeper, handle func(*goredis.Message)) *subscriber {
	return &subscriber{
		client:      client,
		keeper:      k,
		handle:      handle,
		done:        make(chan struct{}),
		wake:        make(chan struct{}, 1),
		wanted:      make(map[string]subscription),
		unconfirmed: make(map[string]struct{}),
		removed:     make(map[string]int),
	}
}

// add listens to more. It does not wait for the network.
func (s *subscriber) add(subs ...subscription) {
	s.mu.Lock()
	for _, sub := range subs {
		s.wanted[sub.name] = sub
		s.unconfirmed[sub.name] = struct{}{}
	}
	s.note(change{true, subs})
	s.mu.Unlock()
	s.signal()
}

// remove ends listening. It does not wait for the network.
func (s *subscriber) remove(subs ...subscription) {
	s.mu.Lock()
	awaited := false
	for _, sub := range subs {
		// A server of a Redis Cluster may refuse a sharded one instead.
		if _, open := s.unconfirmed[sub.name]; open && s.fail != nil && !sub.sharded {
			s.removed[sub.name]++
		}
		delete(s.wanted, sub.name)
		delete(s.unconfirmed, sub.name)
		awaited = awaited || !sub.room
	}
	s.note(change{false, subs})
	s.mu.Unlock()
	s.signal()
	if awaited {
		s.keeper.touch()
	}
}

// note keeps a change for the present session; the next one begins with what
// is wanted then. s.mu is held.
func (s *subscriber) note(c change) {
	if s.fail == nil {
		return
	}
	if last := len(s.changes) - 1; last >= 0 && s.changes[last].add == c.add {
		s.changes[last].subs = append(s.changes[last].subs, c.subs...)
		return
	}
	s.changes = append(s.changes, change{c.add, slices.Clone(c.subs)})
}

func (s *subscriber) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// forget drops a subscription that Redis has ended, or refused.
func (s *subscriber) forget(name string) {
	s.mu.Lock()
	delete(s.wanted, name)
	delete(s.unconfirmed, name)
	s.mu.Unlock()
}

// settled implements [listener]: what is subscribed to here is there before
// anything is published.
func (s *subscriber) settled(context.Context) {}

func (s *subscriber) ended() <-chan struct{} { return s.done }

// missing returns the names that Redis has not confirmed, in order.
func (s *subscriber) missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.unconfirmed))
	for name := range s.unconfirmed {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// requestChannels returns the channels by which nodes are counted.
func (s *subscriber) requestChannels() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, sub := range s.wanted {
		if sub.request {
			names = append(names, name)
		}
		if sub.peers != "" {
			names = append(names, sub.peers)
		}
	}
	return names
}

// probes implements [listener].
func (s *subscriber) probes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sole, shared []string
	for name, sub := range s.wanted {
		if _, open := s.unconfirmed[name]; open {
			continue
		}
		switch {
		case sub.sole:
			sole = append(sole, name)
		case sub.request:
			shared = append(shared, name)
		}
	}
	if len(sole) > 0 {
		return sole
	}
	return shared
}

// reset ends the present session, if there is one.
func (s *subscriber) reset(cause error) {
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		fail(cause)
	}
}

// run is the reading goroutine. It ends with ctx.
func (s *subscriber) run(ctx context.Context) {
	defer close(s.done)
	var pause backoff
	for {
		heard, err := s.session(ctx)
		if ctx.Err() != nil {
			return
		}
		s.keeper.deaf(err)
		reload(ctx, s.client)
		if heard {
			pause.reset()
		}
		select {
		case <-time.After(pause.next()):
		case <-ctx.Done():
			return
		}
	}
}

// session connects, subscribes and reads until the connection fails. It
// reports whether all subscriptions had been confirmed.
func (s *subscriber) session(ctx context.Context) (heard bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	conn := s.client.Subscribe(ctx)
	defer func() {
		end(errEnded)
		_ = conn.Close()
	}()
	// Closing is what interrupts reading. It comes after the end of the
	// context, so that the connection does not try to reconnect.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	subs := s.begin(end)
	defer s.finish()
	if err := subscribe(ctx, conn, subs); err != nil {
		return false, err
	}
	// The answer is the first sign of life, also without any subscription.
	if err := conn.Ping(ctx); err != nil {
		return false, err
	}
	var writer sync.WaitGroup
	defer func() {
		end(errEnded)
		writer.Wait()
	}()
	writer.Go(func() { s.write(ctx, conn, end) })
	return s.read(ctx, conn)
}

// begin starts a session with all subscriptions unconfirmed.
func (s *subscriber) begin(end func(error)) []subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = end
	s.changes = nil
	clear(s.removed)
	subs, last := make([]subscription, 0, len(s.wanted)), []subscription(nil)
	for name, sub := range s.wanted {
		s.unconfirmed[name] = struct{}{}
		if sub.request {
			last = append(last, sub)
		} else {
			subs = append(subs, sub)
		}
	}
	// Who waits after an outage until this node is counted again then waits for
	// its rooms, too.
	subs = append(subs, last...)
	s.received.Store(true)
	if len(subs) > firstSubs {
		s.note(change{true, subs[firstSubs:]})
		s.signal()
		subs = subs[:firstSubs]
	}
	return subs
}

func (s *subscriber) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = nil
	for name := range s.wanted {
		s.unconfirmed[name] = struct{}{}
	}
}

// read hands on what comes until the connection fails.
func (s *subscriber) read(ctx context.Context, conn *goredis.PubSub) (heard bool, err error) {
	// The client takes replies apart without checking their types.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("redis: unreadable reply: %v", r)
		}
	}()
	for {
		// A deadline could fall between the halves of a reply, and the rest
		// would be read as the next one: the writer watches the time instead.
		v, err := conn.ReceiveTimeout(ctx, 0)
		if err != nil && (s.ear == nil || !s.ear.elsewhere(err)) {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return heard, err
		}
		s.received.Store(true)
		switch v := v.(type) {
		case *goredis.Message:
			s.handle(v)
			continue
		case *goredis.Subscription:
			s.confirm(v)
		}
		if !heard && s.whole() {
			heard = true
			s.keeper.hearing()
		}
	}
}

// whole reports whether all subscriptions are confirmed.
func (s *subscriber) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unconfirmed) == 0
}

// confirm notes that Redis has carried out a subscription.
func (s *subscriber) confirm(v *goredis.Subscription) {
	switch v.Kind {
	case "subscribe", "psubscribe", "ssubscribe":
	case "sunsubscribe":
		if s.ear != nil {
			s.ear.unsubscribed(v.Channel)
		}
		return
	default:
		return
	}
	var awaited bool
	if s.ear != nil {
		awaited = s.ear.confirmed(v.Channel)
	} else {
		_, awaited = s.confirmed(v.Channel)
	}
	if awaited {
		s.keeper.touch()
	}
}

// confirmed takes a confirmation. It reports whether that is of the last
// subscription to the channel, not of one that was removed, and whether
// somebody waits for it.
func (s *subscriber) confirmed(name string) (last, awaited bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.removed[name]; n > 0 {
		if s.removed[name]--; n == 1 {
			delete(s.removed, name)
		}
		return false, false
	}
	delete(s.unconfirmed, name)
	return true, !s.wanted[name].room
}

// write carries out changes and asks for signs of life until the session ends.
func (s *subscriber) write(ctx context.Context, conn *goredis.PubSub, end func(error)) {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	silent := 0
	for {
		var err error
		select {
		case <-s.wake:
			err = s.apply(ctx, conn)
		case <-ticker.C:
			silent++
			if s.received.Swap(false) {
				silent = 0
			}
			if silent == 2 {
				err = errDeaf
			} else {
				err = conn.Ping(ctx)
			}
		case <-ctx.Done():
			return
		}
		if err != nil {
			end(err)
			return
		}
	}
}

// apply carries out the changes since the session began.
func (s *subscriber) apply(ctx context.Context, conn *goredis.PubSub) error {
	s.mu.Lock()
	changes := s.changes
	s.changes = nil
	s.mu.Unlock()
	for _, c := range changes {
		act := unsubscribe
		if c.add {
			act = subscribe
		}
		if err := act(ctx, conn, c.subs); err != nil {
			return err
		}
	}
	return nil
}

// names are the names of subscriptions by their commands.
type names struct{ channels, patterns, sharded []string }

// subscribe sends the commands for subs. Channels go first: in a Redis Cluster
// the first of them decides which server the connection is made to.
func subscribe(ctx context.Context, conn *goredis.PubSub, subs []subscription) error {
	n := split(subs)
	if len(n.channels) > 0 {
		if err := conn.Subscribe(ctx, n.channels...); err != nil {
			return err
		}
	}
	if len(n.patterns) > 0 {
		if err := conn.PSubscribe(ctx, n.patterns...); err != nil {
			return err
		}
	}
	return eachAlone(ctx, n.sharded, conn.SSubscribe)
}

func unsubscribe(ctx context.Context, conn *goredis.PubSub, subs []subscription) error {
	n := split(subs)
	// Without names the client would unsubscribe from everything.
	if len(n.channels) > 0 {
		if err := conn.Unsubscribe(ctx, n.channels...); err != nil {
			return err
		}
	}
	if len(n.patterns) > 0 {
		if err := conn.PUnsubscribe(ctx, n.patterns...); err != nil {
			return err
		}
	}
	return eachAlone(ctx, n.sharded, conn.SUnsubscribe)
}

// eachAlone sends a command for each name: a Redis Cluster takes only names of
// one slot together, and refuses all for the sake of one.
func eachAlone(ctx context.Context, names []string, do func(context.Context, ...string) error) error {
	for _, name := range names {
		if err := do(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func split(subs []subscription) names {
	var n names
	for _, sub := range subs {
		switch {
		case sub.pattern:
			n.patterns = append(n.patterns, sub.name)
		case sub.sharded:
			n.sharded = append(n.sharded, sub.name)
		default:
			n.channels = append(n.channels, sub.name)
		}
	}
	return n
}
