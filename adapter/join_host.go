package adapter

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// joinedHost is a namespace of a node that is in several fleets, as the
// adapter of one of them sees it. All of them share one index of rooms.
type joinedHost struct {
	Host
	index  *Local
	shared bool     // the adapter has the index
	marks  []string // of all fleets of this node
	mark   string   // of the fleet of this adapter
}

// joinedOf returns the joinedHost that a host is, or nil. An adapter that puts
// a host of its own around the one that it was given has a method Unwrap there
// that returns the latter.
func joinedOf(host Host) *joinedHost {
	for {
		if j, ok := host.(*joinedHost); ok {
			return j
		}
		u, ok := host.(interface{ Unwrap() Host })
		if !ok {
			return nil
		}
		host = u.Unwrap()
	}
}

// share returns the index for an adapter, whose own host, around this one, may
// observe the rooms too. It is called before the index has members.
func (j *joinedHost) share(host Host) *Local {
	j.shared = true
	o, ok := host.(RoomObserver)
	switch {
	case !ok:
	case j.index.observer == nil:
		j.index.observer = o
	default:
		j.index.observer = &observers{j.index.observer, o}
	}
	return j.index
}

// observers are two as one.
type observers struct {
	RoomObserver
	also RoomObserver
}

// RoomChanged implements [RoomObserver].
func (o *observers) RoomChanged(change RoomChange, room, socketID string) {
	o.RoomObserver.RoomChanged(change, room, socketID)
	o.also.RoomChanged(change, room, socketID)
}

// markSeparator stands before each mark in the id of a node. Peers take ids as
// they are.
const markSeparator = "."

// fleetMark returns what stands for the name of a fleet in the id of a node.
func fleetMark(name string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return fmt.Sprintf("%08x", h.Sum32())
}

// NodeID returns what a node calls itself on the bus of a fleet: id, followed
// by marks of all its fleets if the host is that of a node in several. An
// adapter that may be one of several of its node uses it for all it publishes.
func NodeID(host Host, id string) string {
	if j := joinedOf(host); j != nil {
		for _, mark := range j.marks {
			id += markSeparator + mark
		}
	}
	return id
}

// Hears reports whether what a node publishes on the bus of a fleet is to be
// heard there: not if the node and this one share several fleets, and this is
// not the first of them in the order of their marks. All of both publish in
// each fleet, so that nothing is missed. The package adapter/cluster asks it of
// every message.
func Hears(host Host, sender string) bool {
	j := joinedOf(host)
	if j == nil {
		return true
	}
	first := j.mark
	_, marks, _ := strings.Cut(sender, markSeparator)
	for mark := range strings.SplitSeq(marks, markSeparator) {
		if mark < first && slices.Contains(j.marks, mark) {
			first = mark
		}
	}
	return first == j.mark
}

// elsewhere is the only argument of the packet that Elsewhere returns.
const elsewhere = `"\u0000roomspan: heard in another fleet"`

// Elsewhere returns the answer of a node to a server-side event that it does
// not hear on this bus: it is asked in another fleet too. [Join] takes it out
// of the answers.
func Elsewhere() *Packet { return &Packet{Args: []byte("[" + elsewhere + "]")} }
