package cluster_test

import "maps"

// tables are those of docs/interop.md.
var tables = []*table{
	{
		title:      "Roomspan and Node",
		operations: pairOperations,
		directions: []direction{{"a to b", "Roomspan to Node"}, {"b to a", "Node to Roomspan"}},
		columns:    []*column{withNode.classic, withNode.rooms, withNode.specific, withNode.static, withNode.dynamic, withNode.private, withNode.streams},
	}, {
		title:      "Roomspan and zishang520 v2.5.0 with `adapter/zishang520`",
		operations: pairOperations,
		directions: []direction{{"a to b", "Roomspan to zishang520"}, {"b to a", "zishang520 to Roomspan"}},
		columns:    []*column{withZishang.classic, withZishang.static, withZishang.dynamic, withZishang.streams},
	}, {
		title:      "Node and zishang520 v2.5.0 with `adapter/zishang520`",
		operations: pairOperations,
		directions: []direction{{"a to b", "Node to zishang520"}, {"b to a", "zishang520 to Node"}},
		columns:    []*column{nodeWithZishang.classic, nodeWithZishang.static, nodeWithZishang.dynamic, nodeWithZishang.streams},
	}, {
		title: "Roomspan and python-socketio",
		operations: []string{
			"broadcast", "broadcast of binary", "several arguments", "no argument", "500 broadcasts in order", "broadcast to a room",
			"event to one socket", "broadcast to all but some sockets", "broadcast to all but a room", "acknowledgement of one socket",
			"broadcast with acknowledgements", "a socket joins and leaves", "all leave a room", "disconnect a socket",
			"disconnect a room", "fetch sockets", "server-side emit", "namespaces are apart",
		},
		directions: []direction{{"ours to theirs", "Roomspan to Python"}, {"theirs to ours", "Python to Roomspan"}},
		columns:    []*column{withPython.old, withPython.one, withPython.new},
	}, {
		title:      "Roomspan and Roomspan",
		operations: pairOperations,
		directions: []direction{{"a to b", "one to the other"}, {"b to a", "and back"}},
		columns: []*column{
			alike.classic, alike.rooms, alike.mixed, alike.static, alike.dynamic, alike.private, alike.streams, alike.python, alike.joined,
		},
	}, {
		title: "All in one Redis: two nodes of Roomspan, one of Node, one of zishang520, in each family",
		operations: []string{
			"broadcast", "broadcast to a room", "event to one socket", "broadcast to all but the sender", "broadcast with acknowledgements",
			"fetch sockets", "sockets join and leave", "disconnect sockets", "server-side emit", "server-side emit with answers",
			"namespaces are apart",
		},
		directions: []direction{
			{"Roomspan to all", "Roomspan to all"}, {"Roomspan 2 to all", "the other Roomspan to all"},
			{"Node to all", "Node to all"}, {"zishang520 to all", "zishang520 to all"},
		},
		columns: []*column{inOne.classic, inOne.sharded, inOne.streams},
	}, {
		title: "Two nodes of Roomspan in a fleet of Node and in one of Python at once",
		operations: []string{
			"300 broadcasts, each once and in order", "broadcast to a room", "acknowledgement of one socket",
			"broadcast with acknowledgements, each client asked once", "disconnect a socket", "fetch sockets, each found once",
		},
		directions: []direction{
			{"j1 to all", "Roomspan to all"}, {"j1 to all but Python", "Roomspan to all but Python"}, {"j2 to all", "the other Roomspan to all"},
			{"node to all", "Node to both of Roomspan"}, {"python to all", "Python to both of Roomspan"},
			{"j1 to j2", "Roomspan to Roomspan"}, {"j1 to node", "Roomspan to Node"}, {"j1 to python", "Roomspan to Python"},
		},
		columns: []*column{joined.classic, joined.streams},
	}, {
		title: "Emitters",
		operations: []string{
			"emit to all", "emit binary", "emit in order", "emit to a namespace", "emit to several rooms", "emit to one socket",
			"emit to all but one socket", "emit to all but a room", "sockets join a room, emit to it, a socket leaves",
			"members of a room join another and leave it", "disconnect a socket", "disconnect a room", "server-side emit",
		},
		columns: []*column{
			emitters.classic, emitters.node, emitters.sharded, emitters.streams, emitters.python, emitters.toPython, emitters.ofPython,
		},
	},
}

// pairOperations are those of cluster.mjs, and recovery.
var pairOperations = []string{
	"broadcast", "500 broadcasts in order", "broadcast to a room", "event to one socket", "broadcast to all but the sender",
	"broadcast with acknowledgements", "the same to clients of the other node only", "fetch sockets", "fetch after a socket has gone",
	"sockets join and leave", "disconnect sockets", "server-side emit", "server-side emit with answers", "namespaces are apart",
	recovery,
}

const (
	recovery = "recovery of a session"

	noStream     = "Pub/Sub keeps no messages, from which another node could recover a session."
	noSessions   = "`adapter/zishang520` keeps no sessions."
	noWords      = "Python has no words for it."
	oursAlone    = "It concerns nodes of Roomspan alone: Python has no words for it."
	noReply      = "python-socketio takes the answer of one client."
	aList        = "The asynchronous server of 5.7 does not understand a list of rooms. That of Roomspan does."
	exceptsARoom = "Nobody of a Python node gets it, and it counts as dropped: Python can skip sockets, and no rooms."
)

// without is a column that lacks operations in all directions for one reason.
func without(head, why string, operations ...string) *column {
	c := &column{head: head, lacks: make(map[row]string)}
	for _, o := range operations {
		c.lacks[row{operation: o}] = why
	}
	return c
}

// but adds what the column lacks for another reason.
func (c *column) but(more map[row]string) *column {
	maps.Copy(c.lacks, more)
	return c
}

// families are columns of two nodes of different servers.
type families struct {
	classic, rooms, specific, static, dynamic, private, streams *column
}

// sharded returns the column of a mode.
func (f families) sharded(mode string) *column {
	return map[string]*column{"static": f.static, "dynamic": f.dynamic, "dynamic-private": f.private}[mode]
}

var withNode = families{
	classic:  without("classic", noStream, recovery),
	rooms:    without("classic, `WithRoomSubscriptions`", noStream, recovery),
	specific: without("classic, `WithSpecificResponseChannel` and `publishOnSpecificResponseChannel`", noStream, recovery),
	static:   without("sharded, static", noStream, recovery),
	dynamic:  without("sharded, dynamic", noStream, recovery),
	private:  without("sharded, dynamic-private", noStream, recovery),
	streams:  &column{head: "Streams"},
}

func zishangFamilies() families {
	return families{
		classic: without("classic", noStream, recovery),
		static:  without("sharded, static", noStream, recovery),
		dynamic: without("sharded, dynamic", noStream, recovery),
		streams: without("Streams", noSessions).but(map[row]string{{recovery, "a to b"}: noSessions, {recovery, "b to a"}: noSessions}),
	}
}

var withZishang, nodeWithZishang = zishangFamilies(), zishangFamilies()

// alike are columns of two nodes of Roomspan.
var alike = struct {
	families
	mixed, python, joined *column
}{
	families: families{
		classic: &column{head: "classic"},
		rooms:   &column{head: "`WithRoomSubscriptions`"},
		static:  &column{head: "sharded, static"},
		dynamic: &column{head: "sharded, dynamic"},
		private: &column{head: "sharded, dynamic-private"},
		streams: &column{head: "Streams"},
	},
	mixed:  &column{head: "with the option beside without"},
	python: &column{head: "Python's"},
	joined: &column{head: "Streams and Python's at once"},
}

var withPython = struct{ old, one, new *column }{
	old: without("5.7.2, which pickles, `WithPickle`", oursAlone, "disconnect a room", "fetch sockets", "server-side emit").but(pythonLacks).but(map[row]string{
		{"broadcast of binary", "ours to theirs"}: "JSON that these versions read has no place for it.",
		{"several arguments", "ours to theirs"}:   "They arrive as one list.",
		{"a socket joins and leaves", ""}:         "python-socketio has it from 5.10 on.",
	}),
	one: without("the form of 5.14.2 to 5.15.0, `WithOneArgument`", oursAlone, "disconnect a room", "fetch sockets", "server-side emit").but(pythonLacks).but(map[row]string{
		{"several arguments", ""}: "They arrive as one list.",
	}),
	new: without("the form of 5.15.1 and later", oursAlone, "disconnect a room", "fetch sockets", "server-side emit").but(pythonLacks),
}

var pythonLacks = map[row]string{
	{"broadcast to all but a room", "ours to theirs"}:     exceptsARoom,
	{"broadcast to all but a room", "theirs to ours"}:     noWords,
	{"broadcast with acknowledgements", "theirs to ours"}: noReply,
	{"disconnect a room", "ours to theirs"}:               oursAlone,
	{"disconnect a room", "theirs to ours"}:               noWords,
	{"fetch sockets", "ours to theirs"}:                   oursAlone,
	{"fetch sockets", "theirs to ours"}:                   noWords,
	{"server-side emit", "ours to theirs"}:                oursAlone,
	{"server-side emit", "theirs to ours"}:                noWords,
}

var inOne = struct{ classic, sharded, streams *column }{
	&column{head: "classic"}, &column{head: "sharded, dynamic"}, &column{head: "Streams"},
}

var joined = struct{ classic, streams *column }{&column{head: "classic"}, &column{head: "Streams"}}

var emitters = struct{ classic, node, sharded, streams, python, toPython, ofPython *column }{
	classic: &column{head: "`server.Emitter`, classic, to all in one Redis"},
	node:    &column{head: "`@socket.io/redis-emitter` 5.1, to the same"},
	sharded: &column{head: "`server.Emitter`, sharded, dynamic, to all in one Redis"},
	streams: &column{head: "`server.Emitter`, Streams, to all in one Redis"},
	python:  &column{head: "`server.Emitter`, Python's family, to Roomspan"},
	toPython: without("the same, to Python", oursAlone,
		"members of a room join another and leave it", "disconnect a room", "server-side emit").but(map[row]string{
		{operation: "emit to all but a room"}: exceptsARoom,
		{operation: "emit to several rooms"}:  aList,
	}),
	ofPython: without("python-socketio, `write_only=True`, to Roomspan", noWords,
		"members of a room join another and leave it", "disconnect a room", "server-side emit", "emit to all but a room"),
}
