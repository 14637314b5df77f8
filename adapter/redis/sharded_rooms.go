package redis

import (
	"context"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/roomspan/roomspan/adapter"
)

// privateLength is how long, in UTF-16 units, Node takes the id of a socket to
// be: what is for such a room alone goes on the channel of all in mode Dynamic.
const privateLength = 20

func looksPrivate(room string) bool {
	units := 0
	for _, r := range room {
		units++
		if r > 0xFFFF {
			units++
		}
	}
	return units == privateLength
}

// apart implements [roomBus].
func (n *shardedNamespace) apart(room string) bool {
	switch n.mode {
	case Dynamic:
		// A short way for most names: no unit takes less than a byte.
		return len(room) < privateLength || len(room) > privateLength*utf8.UTFMax || !looksPrivate(room)
	case DynamicPrivate:
		return true
	}
	return false
}

// roomSubscription implements [roomBus].
func (n *shardedNamespace) roomSubscription(room string) subscription {
	return subscription{name: n.channel(room), sharded: true, room: true, user: n}
}

// shardedAdapter finds all rooms without a request for them, which the protocol
// has not got.
type shardedAdapter struct{ *roomAdapter }

// Rooms implements [adapter.Adapter], from the rooms of all sockets.
func (a *shardedAdapter) Rooms(ctx context.Context) ([]string, error) {
	sockets, err := a.FetchSockets(ctx, adapter.Selector{})
	names := make(map[string]struct{})
	for _, s := range sockets {
		for _, room := range s.Rooms {
			if _, here := a.Lookup(room); room != s.ID && !here {
				names[room] = struct{}{}
			}
		}
	}
	return slices.Collect(maps.Keys(names)), err
}
