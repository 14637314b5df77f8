//go:build !race

package peer

// race says if this test binary has the race detector.
const race = false
