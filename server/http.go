package server

import (
	"errors"
	"io/fs"
	"net/http"

	"github.com/roomspan/roomspan/server/internal/engineio"
)

// httpConfig are the options of what happens in HTTP.
type httpConfig struct {
	cookie          *http.Cookie
	allowRequest    func(*http.Request) error
	connectionError func(ConnectionError)
	sessionID       func(*http.Request) (string, error)
	socketID        func(string, Handshake) (string, error)
	bundle          fs.FS
	bundled         bool // the option was given
}

// WithCookie makes the answer to a handshake set a cookie with the id of the
// session, by which a balancer can send all requests of a client to the node
// that has its session. Name, Path and SameSite are "io", "/" and Lax if they
// are left out, HttpOnly is always set, the value is not looked at. Pages of
// other origins need SameSite=None, Secure, [WithOrigins] and withCredentials
// on the client. Default: no cookie. Unlike Node it is set for WebSocket, too.
func WithCookie(c http.Cookie) Option {
	if c.Name == "" {
		c.Name = "io"
	}
	if c.Path == "" {
		c.Path = "/"
	}
	if c.SameSite == 0 {
		c.SameSite = http.SameSiteLaxMode
	}
	c.HttpOnly, c.Value = true, ""
	return func(cfg *config) { cfg.http.cookie = &c }
}

// WithAllowRequest sets a function that may refuse a handshake before there is
// a session: with 403 and the message of a [ClientError], or else "Forbidden".
// It is called once for each session, after all other checks and not for later
// requests, and may block; the request's context ends when the client goes
// away. Default: none; all are let in. See [Namespace.Use] for what needs the
// client's auth.
func WithAllowRequest(f func(*http.Request) error) Option {
	return func(c *config) { c.http.allowRequest = f }
}

// A ConnectionError describes a request that was refused.
type ConnectionError struct {
	// Request is the request. It must not be used after the function returns.
	Request *http.Request

	// Code is that of Engine.IO: 0 unknown transport, 1 unknown session, 2 bad
	// handshake method, 3 bad request, 4 forbidden, 5 unsupported protocol
	// version.
	Code int

	// Message is what the client was told.
	Message string

	// Context says which of the cases of a code it was, in the words of
	// engine.io: INVALID_ORIGIN, TRANSPORT_MISMATCH, PROTOCOL_MISMATCH,
	// TRANSPORT_HANDSHAKE_ERROR, ID_GENERATION_ERROR; FOREIGN_ORIGIN for what
	// [WithOrigins] does not let in; else empty.
	Context string

	// Err is what WithAllowRequest or WithIDs returned, or what is wrong with
	// a WebSocket handshake; else nil.
	Err error
}

// WithConnectionErrorHandler sets a function that is called for each request
// that is refused with a code of Engine.IO, on its goroutine, before the answer
// or after it. Clients whose session has ended, or is on another node, are the
// most frequent case (code 1). Default: none; Stats counts them in either case.
func WithConnectionErrorHandler(f func(ConnectionError)) Option {
	return func(c *config) { c.http.connectionError = f }
}

func (c *httpConfig) validate() error {
	if cookie := c.cookie; cookie != nil {
		if err := cookie.Valid(); err != nil {
			return &OptionError{"WithCookie", err.Error()}
		}
		if cookie.SameSite == http.SameSiteNoneMode && !cookie.Secure {
			return &OptionError{"WithCookie", "SameSite=None without Secure is refused by browsers"}
		}
	}
	if c.bundled && c.bundle == nil {
		return &OptionError{"WithClientBundle", "nil file system"}
	}
	return nil
}

// hooks puts the functions of the program under the engine.
func (s *Server) hooks(cfg *engineio.Config) {
	h := &s.cfg.http
	cfg.Cookie = h.cookie
	if f := h.allowRequest; f != nil {
		cfg.Allow = func(r *http.Request) (string, error) {
			err := s.protect(func() error { return f(r) })
			var ce *ClientError
			if errors.As(err, &ce) {
				return ce.Message, err
			}
			return "Forbidden", err
		}
	}
	if f := h.sessionID; f != nil {
		cfg.NewID = func(r *http.Request) (id string, err error) {
			err = s.protect(func() error {
				var ferr error
				id, ferr = f(r)
				return ferr
			})
			return id, err
		}
	}
	if f := h.connectionError; f != nil {
		cfg.Refused = func(r engineio.Refusal) {
			_ = s.protect(func() error {
				f(ConnectionError(r))
				return nil
			})
		}
	}
}

// protect calls a function of the user for a request, and makes a panic an error,
// which it reports. Errors are reported by the connection error handler.
func (s *Server) protect(f func() error) error {
	err := s.guard(f)
	var p *PanicError
	if errors.As(err, &p) {
		s.handlerError(nil, "", err)
	}
	return err
}
