//go:build unix

package pysocketio_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/adaptertest"
	"github.com/roomspan/roomspan/adapter/pysocketio"
)

// The clusters of the suite share a Redis, under channels of their own.
func TestSuite(t *testing.T) {
	r := runProcess(t)
	var clusters atomic.Int64
	for name, opts := range map[string][]pysocketio.Option{
		"new": nil,
		"one": {pysocketio.WithOneArgument()},
		"old": {pysocketio.WithPickle()},
	} {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, func(*testing.T) func() adapter.Backend {
				opts := append([]pysocketio.Option{pysocketio.WithChannel(fmt.Sprintf("fleet%d", clusters.Add(1)))}, opts...)
				return func() adapter.Backend { return pysocketio.New(r.url(), opts...) }
			}, adaptertest.Abilities{})
		})
	}
}
