package server

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/roomspan/roomspan/server/internal/engineio"
)

// WithIDs sets functions that make the ids of sessions (the sid of Engine.IO)
// and of sockets, as generateId does on Node. They are called for each new one,
// on the goroutine of the request and on that of the socket's handlers, and may
// block. An id is 1 to 128 ASCII letters, digits and -._~:@; an error, another
// id, or one that is in use on this node refuses the client: the session with
// code 3, the socket like a middleware (a [ConnectError] is sent), or with the
// message "id in use". Nil for either: random ids. Default: 15 random bytes in
// 20 characters for both.
//
// Who knows the id of a session can read and write in its place: it must
// hold at least 96 random bits. The id of a socket is no secret, but the name of
// a room: it must not be one that others can join, and one that stays the same
// lets the next connection of a user receive what was meant for the last. That
// an id is unique in a cluster is for the function to see to.
func WithIDs(session func(*http.Request) (string, error), socket func(namespace string, h Handshake) (string, error)) Option {
	return func(c *config) { c.http.sessionID, c.http.socketID = session, socket }
}

var errSocketID = errors.New("server: the id of a socket is 1 to 128 ASCII letters, digits and -._~:@")

// idSet are the ids that are in use in a namespace. It is empty without WithIDs.
type idSet struct {
	mu  sync.Mutex
	ids map[string]*Socket
}

func (set *idSet) reserve(id string, s *Socket) bool {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.ids[id] != nil {
		return false
	}
	if set.ids == nil {
		set.ids = make(map[string]*Socket)
	}
	set.ids[id] = s
	return true
}

func (set *idSet) release(s *Socket) {
	if s.ns.srv.cfg.http.socketID == nil {
		return
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.ids[s.id] == s {
		delete(set.ids, s.id)
	}
}

// chooseID gives a socket the id that the program wants. Nobody knows the socket
// yet, but for those who end it together with its connection.
func (s *Socket) chooseID() error {
	f := s.ns.srv.cfg.http.socketID
	if f == nil || s.conn.v3() {
		return nil
	}
	var id string
	if err := s.guard(func() (err error) {
		id, err = f(s.ns.name, s.Handshake())
		return err
	}); err != nil {
		return err
	}
	if !engineio.ValidID(id) {
		return errSocketID
	}
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.state != stateConnecting {
		return nil // it has ended
	}
	if !s.ns.ids.reserve(id, s) {
		return &ConnectError{Message: "id in use"}
	}
	s.id = strings.Clone(id)
	return nil
}
