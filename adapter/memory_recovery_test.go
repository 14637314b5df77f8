package adapter_test

import (
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
)

func TestMemoryRecovery(t *testing.T) {
	adaptertest.RunRecovery(t, func(*testing.T) func() adapter.Backend { return adapter.Memory }, 1)
}
