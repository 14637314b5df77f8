package ws

import (
	"errors"
	"strings"
)

// The parameters of permessage-deflate (RFC 7692, section 7.1).
const (
	serverNoContextTakeover = "server_no_context_takeover"
	clientNoContextTakeover = "client_no_context_takeover"
	serverMaxWindowBits     = "server_max_window_bits"
	clientMaxWindowBits     = "client_max_window_bits"
)

// accepted is what the server agrees to. Without context takeover every message
// stands alone, in both directions: a message is compressed once for all its
// receivers, and a connection that rests holds no window.
const accepted = "permessage-deflate; " + serverNoContextTakeover + "; " + clientNoContextTakeover

var errExtensions = errors.New("ws: malformed Sec-WebSocket-Extensions")

// negotiate chooses the first offer of permessage-deflate that the server can
// honour and returns the response to it, or "" to decline them all. A header
// that is not of the grammar fails the handshake (RFC 6455, section 9.1). An
// offer with unknown, doubled or invalid parameters is declined (RFC 7692,
// section 7.1), and the next one may do; ws on Node refuses the whole handshake.
func negotiate(header string) (response string, err error) {
	s := scanner{rest: header}
	for more := true; more; more = s.next(',') {
		name := s.token()
		var p parameters
		for s.next(';') {
			key, value, valued := s.token(), "", false
			if s.next('=') {
				value, valued = s.value(), true
			}
			p.add(key, value, valued)
		}
		if response == "" && name == "permessage-deflate" && !p.bad {
			response = accepted
			if p.window {
				response += "; " + serverMaxWindowBits + "=15"
			}
		}
	}
	if s.bad || s.rest != "" {
		return "", errExtensions
	}
	return response, nil
}

// parameters are those of one offer.
type parameters struct {
	seen   uint8 // a bit for each
	window bool  // server_max_window_bits must be in the response
	bad    bool  // the offer is to be declined
}

func (p *parameters) add(key, value string, valued bool) {
	bit, ok := uint8(0), false
	switch key {
	case serverNoContextTakeover:
		bit, ok = 1, !valued
	case clientNoContextTakeover:
		bit, ok = 2, !valued
	case serverMaxWindowBits:
		// The compressor's window is of 15 bits. One form of a message for each
		// size of a window would be a compression for each, and no browser asks.
		bit, ok = 4, value == "15"
		p.window = true
	case clientMaxWindowBits:
		// A hint that the client could use less; any window can be read.
		bit, ok = 8, !valued || windowBits(value)
	}
	if !ok || p.seen&bit != 0 {
		p.bad = true
	}
	p.seen |= bit
}

// windowBits reports whether v is a number from 8 to 15 as section 7.1.2 wants
// it, without leading zeros.
func windowBits(v string) bool {
	return v == "8" || v == "9" || len(v) == 2 && v[0] == '1' && v[1] >= '0' && v[1] <= '5'
}

// scanner takes a header apart; white space may stand between all parts.
type scanner struct {
	rest string
	bad  bool
}

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

// next reports whether c comes next, and skips it.
func (s *scanner) next(c byte) bool {
	s.space()
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// token takes a token (RFC 9110, section 5.6.2).
func (s *scanner) token() string {
	s.space()
	n := 0
	for n < len(s.rest) && isToken(s.rest[n]) {
		n++
	}
	t := s.rest[:n]
	s.rest = s.rest[n:]
	if n == 0 {
		s.bad = true
	}
	return t
}

// value takes a token, or a quoted string that is one when unquoted.
func (s *scanner) value() string {
	if !s.next('"') {
		return s.token()
	}
	var v strings.Builder
	for s.rest != "" && s.rest[0] != '"' {
		c := s.rest[0]
		if c == '\\' && len(s.rest) > 1 {
			s.rest = s.rest[1:]
			c = s.rest[0]
		}
		s.bad = s.bad || !isToken(c)
		v.WriteByte(c)
		s.rest = s.rest[1:]
	}
	if v.Len() == 0 || !s.next('"') {
		s.bad = true
	}
	return v.String()
}

func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
