package adapter

import (
	"math/bits"
	"slices"
)

// fewNames is up to how many names of a selector are compared one by one.
// Beyond it a map is made for the call.
const fewNames = 8

// shardSet is a set of numbers of shards.
type shardSet uint64

// The locks of several shards are taken in ascending order. Writers hold one
// at a time, so that a reader that waits for one while it holds others delays
// nobody whom it waits for.
func (l *Local) rlock(set shardSet) {
	for ; set != 0; set &= set - 1 {
		l.shards[bits.TrailingZeros64(uint64(set))].mu.RLock()
	}
}

func (l *Local) runlock(set shardSet) {
	for ; set != 0; set &= set - 1 {
		l.shards[bits.TrailingZeros64(uint64(set))].mu.RUnlock()
	}
}

// exclusion is Selector.Except, prepared for one walk.
type exclusion struct {
	// names are compared with ids of sockets, rooms are those of them that
	// exist here.
	names []string
	rooms []*room

	// set stands for both when there are many names.
	set map[string]int
}

func (l *Local) exclude(names []string) exclusion {
	if len(names) > fewNames {
		return exclusion{set: indexNames(names)}
	}
	e := exclusion{names: names}
	for _, name := range names {
		sh := &l.shards[l.shardOf(name)]
		sh.mu.RLock()
		if r := sh.rooms[name]; r != nil {
			e.rooms = append(e.rooms, r)
		}
		sh.mu.RUnlock()
	}
	return e
}

func (e *exclusion) has(s Socket) bool {
	if len(e.names) == 0 && e.set == nil {
		return false
	}
	if e.set == nil {
		return slices.Contains(e.names, s.ID()) || s.Membership().inRoom(e.rooms)
	}
	if _, ok := e.set[s.ID()]; ok {
		return true
	}
	for _, p := range s.Membership().places() {
		if _, ok := e.set[p.room.name]; ok {
			return true
		}
	}
	return false
}

// indexNames returns the position of the first of equal names.
func indexNames(names []string) map[string]int {
	index := make(map[string]int, len(names))
	for i, name := range names {
		if _, ok := index[name]; !ok {
			index[name] = i
		}
	}
	return index
}

// walkAll yields all sockets. A socket never changes its shard, so that one
// lock at a time is enough to see it once.
func (l *Local) walkAll(except *exclusion, yield func(Socket) bool) {
	for i := range l.shards {
		if !l.shards[i].walk(except, yield) {
			return
		}
	}
}

func (sh *shard) walk(except *exclusion, yield func(Socket) bool) bool {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for _, s := range sh.sockets.sockets {
		if !except.has(s) && !yield(s) {
			return false
		}
	}
	return true
}

// walkRooms yields the sockets of several rooms. It holds the locks of all of
// them, because a socket that moved from one to another during the walk would
// be seen twice.
func (l *Local) walkRooms(names []string, except *exclusion, yield func(Socket) bool) {
	if len(names) > fewNames {
		l.walkManyRooms(names, except, yield)
		return
	}
	var set shardSet
	var numbers [fewNames]int
	for i, name := range names {
		numbers[i] = l.shardOf(name)
		set |= 1 << numbers[i]
	}
	l.rlock(set)
	defer l.runlock(set)

	var roomsArray [fewNames]*room
	var namedArray [fewNames]Socket
	rooms, named := roomsArray[:0], namedArray[:0]
	for i, name := range names {
		sh := &l.shards[numbers[i]]
		if r := sh.rooms[name]; r != nil && !slices.Contains(rooms, r) {
			rooms = append(rooms, r)
		}
		if s := sh.ids[name]; s != nil && !slices.Contains(named, s) {
			named = append(named, s)
			if !except.has(s) && !yield(s) {
				return
			}
		}
	}
	for i, r := range rooms {
		for _, s := range r.members.sockets {
			if slices.Contains(named, s) || s.Membership().inRoom(rooms[:i]) || except.has(s) {
				continue
			}
			if !yield(s) {
				return
			}
		}
	}
}

// walkManyRooms is walkRooms with a map of the names.
func (l *Local) walkManyRooms(names []string, except *exclusion, yield func(Socket) bool) {
	index := indexNames(names)
	var set shardSet
	for name := range index {
		set |= 1 << l.shardOf(name)
	}
	l.rlock(set)
	defer l.runlock(set)
	for i, name := range names {
		if index[name] != i {
			continue
		}
		if s := l.shards[l.shardOf(name)].ids[name]; s != nil && !except.has(s) && !yield(s) {
			return
		}
	}
	for i, name := range names {
		r := l.shards[l.shardOf(name)].rooms[name]
		if r == nil || index[name] != i {
			continue
		}
		for _, s := range r.members.sockets {
			if seenBefore(s, index, i) || except.has(s) {
				continue
			}
			if !yield(s) {
				return
			}
		}
	}
}

// seenBefore reports whether a walk over the names in index came upon the
// socket before the room at position i.
func seenBefore(s Socket, index map[string]int, i int) bool {
	if _, ok := index[s.ID()]; ok {
		return true
	}
	for _, p := range s.Membership().places() {
		if j, ok := index[p.room.name]; ok && j < i {
			return true
		}
	}
	return false
}
