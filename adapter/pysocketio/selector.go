package pysocketio

import "github.com/roomspan/roomspan/adapter"

// expressible reports whether Python has words for a selector: it can skip
// sockets by their ids, but no room.
func expressible(sel adapter.Selector) bool {
	for _, name := range sel.Except {
		if !adapter.LooksLikeID(name) {
			return false
		}
	}
	return true
}
