package adapter_test

import (
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

// TestJoinSuite holds that nodes that share two fleets behave as nodes of one:
// nothing happens twice, nothing is missing. They count each other twice.
func TestJoinSuite(t *testing.T) {
	adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
		one, two := adaptertest.NewBus(), adaptertest.NewBus()
		// The suite cannot wait until nodes know each other, if it cannot count
		// them.
		one.Counting, two.Counting = true, true
		return func() adapter.Backend {
			return adapter.Join(adapter.Named("one", one.Backend()), adapter.Named("two", two.Backend()))
		}
	}, adaptertest.Abilities{NoServerCount: true})
}

// TestJoinFaults holds that the faults of a node that shares both fleets cost no
// more than in one of them.
func TestJoinFaults(t *testing.T) {
	adaptertest.RunFaults(t, func(*testing.T) adaptertest.Faults {
		one, two := adaptertest.NewBus(), adaptertest.NewBus()
		one.Counting, two.Counting = true, true
		return adaptertest.Faults{
			Backend: func(string) adapter.Backend {
				return adapter.Join(adapter.Named("one", one.Backend()), adapter.Named("two", two.Backend()))
			},
			Kill:          func(nodeID string) { one.Cut(nodeID); two.Cut(nodeID) },
			RepeatAnswers: func() { one.RepeatAnswers(); two.RepeatAnswers() },
		}
	}, adaptertest.Abilities{NoServerCount: true})
}
