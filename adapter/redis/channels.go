package redis

import "strings"

// channels holds the names that a namespace publishes on and listens to.
type channels struct {
	broadcast string // <key>#<nsp>#, heard through pattern only
	pattern   string // <key>#<nsp>#*, with the special characters of both escaped
	request   string // <key>-request#<nsp>#
	response  string // <key>-response#<nsp>#, shared by all nodes
	own       string // <key>-response#<nsp>#<uid>#, for answers to this node only
}

func newChannels(key, nsp, uid string) channels {
	c := channels{
		broadcast: key + "#" + nsp + "#",
		request:   key + "-request#" + nsp + "#",
		response:  key + "-response#" + nsp + "#",
	}
	c.pattern = globEscaper.Replace(c.broadcast) + "*"
	c.own = c.to(uid)
	return c
}

// globEscaper keeps names from matching the channels of other namespaces.
var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// to returns the channel for answers to the node with the given uid.
func (c *channels) to(uid string) string { return c.response + uid + "#" }

// rooms returns the channel of a broadcast to the given rooms.
func (c *channels) rooms(rooms []string) string {
	if len(rooms) == 1 {
		return c.broadcast + rooms[0] + "#"
	}
	return c.broadcast
}

// room returns the room that a channel under pattern names, or "" if it names
// none. Room names may contain the separator, so only the last one counts.
func (c *channels) room(channel string) string {
	if len(channel) <= len(c.broadcast) {
		return ""
	}
	return channel[len(c.broadcast) : len(channel)-1]
}
