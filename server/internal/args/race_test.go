//go:build race || poison

package args_test

const raceEnabled = true
