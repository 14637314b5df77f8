package adaptertest_test

import (
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

func TestHeartbeatBus(t *testing.T) {
	adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
		return adaptertest.NewBus().Backend
	}, adaptertest.Abilities{})
}

func TestCountingBus(t *testing.T) {
	adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
		bus := adaptertest.NewBus()
		bus.Counting = true
		return bus.Backend
	}, adaptertest.Abilities{})
}
