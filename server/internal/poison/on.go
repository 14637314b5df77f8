//go:build poison

package poison

import "unsafe"

// On reports whether the build has the tag.
const On = true

// value is no UTF-8, no header of a frame, and a bad index as part of a number.
const value = 0xf5

// Memory spoils all of the memory of a slice, beyond its length too.
func Memory[T any](s []T) {
	if s = s[:cap(s)]; len(s) > 0 {
		Bytes(unsafe.Slice((*byte)(unsafe.Pointer(&s[0])), len(s)*int(unsafe.Sizeof(s[0]))))
	}
}

// Bytes spoils a part of a buffer, up to its length.
func Bytes(b []byte) {
	for i := range b {
		b[i] = value
	}
}
