package adapter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Join returns the back-end of a node that is in several fleets at once: in
// one of Socket.IO on Node and in one of python-socketio, say. It owns the
// back-ends, which may use the same Redis or different ones.
//
//	adapter.Join(redis.New(url), pysocketio.New(url))
//
// What the node emits goes to its own clients and to those of all fleets, and
// its calls bring the answers of all. It hears all fleets, and passes nothing
// on from one to another: an event of a Node fleet reaches the clients of this
// node, and not a Python fleet.
//
// Two nodes that share several fleets hear each other on one of them, so that
// nothing happens twice; while its bus is away they wait for it, as other nodes
// of that fleet do. They do not go over to another fleet meanwhile: neither
// knows when the other one has lost the bus, what waits in a backlog would come
// once more when it is back, what the other fleet brought before the loss was
// noticed is gone, and the protocols of the fleets have no place for numbers by
// which to tell. For this the fleets have names that all nodes know
// them by: back-ends of this module have one, of their family and their key or
// channel, and [Named] gives another. It must, if two fleets of one family, in
// different Redis servers, have the same key. Start fails for names that are
// empty or equal.
//
// Ready waits for all, Connected of Stats says that all are, and the counters
// are sums; the result is a [StatusReporter]. A server that shares n fleets with
// this one counts n times in ServerCount.
//
// Connection state recovery does not work on such a node, even if one of the
// back-ends keeps packets: what another fleet brought has no place among them,
// and the nodes that may restore a session, foreign ones too, could not tell
// that its client missed it.
func Join(backends ...Backend) Backend {
	j := &joined{}
	for _, b := range backends {
		if inner, ok := b.(*joined); ok {
			j.backends = append(j.backends, inner.backends...)
		} else {
			j.backends = append(j.backends, b)
		}
	}
	return j
}

// Named gives the fleet of a back-end a name, for [Join]. All nodes that are
// in this fleet and in another use the same.
func Named(name string, b Backend) Backend { return &named{b, name} }

// named is a back-end whose fleet has a name. Back-ends of this module have
// the method Fleet too.
type named struct {
	Backend
	name string
}

func (n *named) Fleet() string { return n.name }

// joined is several back-ends as one.
type joined struct {
	backends []Backend

	// Set by Start: marks stand for the fleets, in the order of backends.
	marks []string
	log   *slog.Logger
}

// Start implements [Backend].
func (j *joined) Start(node Node) error {
	marks, err := j.fleets()
	if err != nil {
		return err
	}
	j.marks, j.log = marks, node.Logger()
	for i, b := range j.backends {
		if err := b.Start(node); err != nil {
			for _, started := range j.backends[:i] {
				err = errors.Join(err, started.Close(context.Background()))
			}
			return err
		}
	}
	return nil
}

// fleets returns the marks of the fleets.
func (j *joined) fleets() ([]string, error) {
	if len(j.backends) == 0 {
		return nil, errors.New("adapter: Join without a back-end")
	}
	var names, marks []string
	for _, b := range j.backends {
		if n, ok := b.(*named); ok {
			if _, ok := n.Backend.(*joined); ok {
				return nil, fmt.Errorf("adapter: Join: %q are several fleets", n.name)
			}
		}
		f, ok := b.(interface{ Fleet() string })
		if !ok || f.Fleet() == "" {
			return nil, fmt.Errorf("adapter: Join: the fleet of a %T has no name; Named gives it one", b)
		}
		name := f.Fleet()
		if slices.Contains(names, name) {
			return nil, fmt.Errorf("adapter: Join: two fleets are named %q; Named gives one another name", name)
		}
		names, marks = append(names, name), append(marks, fleetMark(name))
	}
	return marks, nil
}

// Open implements [Backend].
func (j *joined) Open(host Host) (Adapter, error) {
	a := &joinedAdapter{Local: NewLocal(host)}
	for i, b := range j.backends {
		h := &joinedHost{Host: host, index: a.Local, marks: j.marks, mark: j.marks[i]}
		family, err := b.Open(h)
		if err == nil {
			a.families = append(a.families, family)
			if !h.shared {
				err = fmt.Errorf("adapter: Join: the adapter of a %T does not use NewLocal", b)
			}
		}
		if err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

// Ready implements [Backend].
func (j *joined) Ready(ctx context.Context) error {
	for _, b := range j.backends {
		if err := b.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stats implements [Backend].
func (j *joined) Stats() Stats {
	sum := Stats{Connected: true}
	for _, b := range j.backends {
		s := b.Stats()
		sum.Connected = sum.Connected && s.Connected
		sum.Published += s.Published
		sum.Received += s.Received
		sum.Dropped += s.Dropped
		sum.Malformed += s.Malformed
		sum.Lost += s.Lost
		sum.Reconnects += s.Reconnects
	}
	return sum
}

// Close implements [Backend].
func (j *joined) Close(ctx context.Context) error {
	errs := make([]error, len(j.backends))
	var closing sync.WaitGroup
	for i, b := range j.backends {
		closing.Go(func() { errs[i] = b.Close(ctx) })
	}
	closing.Wait()
	return errors.Join(errs...)
}
