//go:build !race

package peer

// Race says if this test binary has the race detector.
const Race = false
