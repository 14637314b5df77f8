package adaptertest

import (
	"testing"

	"github.com/roomspan/roomspan/adapter"
)

// Faults is a cluster that can be harmed, for [RunFaults]. What is nil cannot be
// done to it, and is not tested; Backend is never nil.
type Faults struct {
	// Backend returns a back-end of the cluster, not yet started, for the node
	// that will have this id.
	Backend func(nodeID string) adapter.Backend

	// Kill ends a node as a crash does, without goodbye: its connections break,
	// and it makes no new ones. The suite closes the back-end later, whatever
	// that returns. Kill may be called twice.
	Kill func(nodeID string)

	// Hang makes a node stand still: it neither hears nor says anything, and
	// keeps its connections until it is killed. A bus that would not count it
	// any more cannot do that.
	Hang func(nodeID string)

	// RepeatAnswers makes the bus bring each answer to a question twice from
	// then on.
	RepeatAnswers func()

	// Poison puts messages on the bus, where the nodes listen for the namespace
	// "/", that nobody can understand. It returns how many of them each node
	// counts as malformed at least.
	Poison func() int
}

// RunFaults tests what a back-end makes of the faults of others: a node that
// crashes or hangs, an answer that comes twice, messages that nobody
// understands. It calls newCluster once to know what can be done, and once for each
// of its tests, for clusters of three nodes, separate from each other.
func RunFaults(t *testing.T, newCluster func(*testing.T) Faults, cannot Abilities) {
	tests := []struct {
		name string
		can  func(Faults) bool
		test func(*testing.T, *fixture, Faults)
	}{
		{"DeadNode", func(h Faults) bool { return h.Kill != nil }, testDeadNode},
		{"HangingNode", func(h Faults) bool { return h.Kill != nil && h.Hang != nil }, testHangingNode},
		{"RepeatedAnswers", func(h Faults) bool { return h.RepeatAnswers != nil }, testRepeatedAnswers},
		{"Poison", func(h Faults) bool { return h.Poison != nil }, testPoison},
	}
	known := newCluster(t)
	for _, tt := range tests {
		if !tt.can(known) {
			t.Logf("%s is not tested: the cluster cannot be harmed so", tt.name)
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			faults := newCluster(t)
			tt.test(t, newFixture(t, faults.Backend, cannot), faults)
		})
	}
}
