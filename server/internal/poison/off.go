//go:build !poison

// Package poison spoils memory that goes back to a pool, in builds with the tag
// poison: who still uses it then reads and writes nonsense, and tests fail.
//
//	go test -tags poison ./server/...
package poison

// On reports whether the build has the tag.
const On = false

// Memory spoils all of the memory of a slice, beyond its length too.
func Memory[T any](s []T) {}

// Bytes spoils a part of a buffer, up to its length.
func Bytes(b []byte) {}
