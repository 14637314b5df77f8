package redis

import "testing"

func TestChannels(t *testing.T) {
	c := newChannels("socket.io", "/admin", "GDUleH")
	want := channels{
		broadcast: "socket.io#/admin#",
		pattern:   "socket.io#/admin#*",
		request:   "socket.io-request#/admin#",
		response:  "socket.io-response#/admin#",
		own:       "socket.io-response#/admin#GDUleH#",
	}
	if c != want {
		t.Errorf("got %+v", c)
	}
	for _, tt := range []struct {
		rooms   []string
		channel string
		room    string
	}{
		{nil, "socket.io#/admin#", ""},
		{[]string{"room1"}, "socket.io#/admin#room1#", "room1"},
		{[]string{"a", "b"}, "socket.io#/admin#", ""},
		{[]string{"a#b"}, "socket.io#/admin#a#b#", "a#b"},
		{[]string{`*?[]\`}, `socket.io#/admin#*?[]\#`, `*?[]\`},
	} {
		if got := c.rooms(tt.rooms); got != tt.channel {
			t.Errorf("%v: channel %q", tt.rooms, got)
		}
		if got := c.room(tt.channel); got != tt.room {
			t.Errorf("%s: room %q", tt.channel, got)
		}
	}
	if got := newChannels("k[1]", `/a*?\`, "").pattern; got != `k\[1\]#/a\*\?\\#*` {
		t.Errorf("pattern %q", got)
	}
}
