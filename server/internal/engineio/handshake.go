package engineio

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// Errors of an id that Config.NewID made.
var (
	errInvalidID = errors.New("engineio: an id is 1 to 128 ASCII letters, digits and -._~:@")
	errIDInUse   = errors.New("engineio: the id is that of another session")
)

// handshake makes a session of a request without sid. What the program is
// asked comes after the cheap checks, that of the protocol's version included,
// which engine.io makes last.
func (srv *Server) handshake(w http.ResponseWriter, r *http.Request, webSocket bool) {
	if !srv.accepting() {
		srv.refuse(w, errUnavailable)
		return
	}
	if allow := srv.cfg.Allow; allow != nil {
		if message, err := allow(r); err != nil {
			srv.reject(w, r, &refusal{status: 403, code: 4, message: message, err: err})
			return
		}
	}
	id, err := srv.reserve(r)
	if err != nil {
		srv.reject(w, r, &refusal{status: 400, code: 3, message: "Bad request", context: "ID_GENERATION_ERROR", err: err})
		return
	}
	if webSocket {
		srv.openWebSocket(w, r, w.Header(), id)
	} else {
		srv.openPolling(w, r, id)
	}
}

// reserve returns the id for a new session, which no other session gets: the
// WebSocket handshake must tell it before there is a session.
func (srv *Server) reserve(r *http.Request) (string, error) {
	id, err := srv.newID(r)
	if err != nil {
		return "", err
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if _, taken := srv.sessions[id]; taken {
		return "", errIDInUse
	}
	srv.sessions[id] = nil
	return id, nil
}

// release gives an id back whose handshake failed.
func (srv *Server) release(id string) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	delete(srv.sessions, id)
}

func (srv *Server) newID(r *http.Request) (string, error) {
	if srv.cfg.NewID == nil {
		var id [15]byte
		_, _ = rand.Read(id[:])
		return base64.RawURLEncoding.EncodeToString(id[:]), nil
	}
	id, err := srv.cfg.NewID(r)
	if err == nil && !ValidID(id) {
		err = errInvalidID
	}
	return strings.Clone(id), err // it may be a part of the request
}

// ValidID reports whether an id has 1 to 128 characters, which stand for
// themselves in a query, a cookie, JSON, and the channels of a bus.
func ValidID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~:@", c)
	})
}

func (srv *Server) setCookie(h http.Header, id string) {
	if srv.cfg.Cookie == nil {
		return
	}
	c := *srv.cfg.Cookie
	c.Value = id
	h.Add("Set-Cookie", c.String())
}
