package pysocketio

import "github.com/roomspan/roomspan/adapter"

// idLength is the length of the ids of sockets, here as in Python and Node.
const idLength = 20

// isID reports whether a name is taken for the id of a socket: it cannot be
// known of the sockets of other nodes.
func isID(name string) bool {
	if len(name) != idLength {
		return false
	}
	for i := range idLength {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// expressible reports whether Python has words for a selector: it can skip
// sockets by their ids, but no room.
func expressible(sel adapter.Selector) bool {
	for _, name := range sel.Except {
		if !isID(name) {
			return false
		}
	}
	return true
}
