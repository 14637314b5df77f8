package ws

import (
	"bufio"
	"net"
	"net/http"
	"strings"

	gobwas "github.com/gobwas/ws"
)

// IsUpgrade reports whether a request asks for a WebSocket, before any
// validation.
func IsUpgrade(r *http.Request) bool {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return false
	}
	for _, v := range r.Header["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return true
			}
		}
	}
	return false
}

// Upgrade takes over the connection of a request and completes the handshake
// of RFC 6455, section 4.2, declining all extensions but permessage-deflate, if
// opt says so. A request that is no proper handshake is answered with 400, 405,
// 426 or 505 and an error is returned. The Conn does not refer to w or r.
//
// greeting are frames that go out with the response, in one write.
func Upgrade(w http.ResponseWriter, r *http.Request, h http.Header, opt *Options, greeting []byte) (*Conn, error) {
	deflate := false
	if offers := r.Header["Sec-Websocket-Extensions"]; opt.Deflate && len(offers) > 0 {
		response, err := negotiate(strings.Join(offers, ","))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return nil, err
		}
		if deflate = response != ""; deflate {
			h.Set("Sec-WebSocket-Extensions", response)
		}
	}
	held := &heldWriter{ResponseWriter: w}
	nc, rw, _, err := gobwas.HTTPUpgrader{Header: h}.Upgrade(r, held)
	if nc == nil {
		return nil, err
	}
	if err == nil {
		held.response = append(held.response, greeting...)
	}
	if werr := writeWithin(nc, held.response, opt.WriteTimeout); err == nil {
		err = werr
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	// A client may send its first frame in one segment with the handshake.
	var early []byte
	if n := rw.Reader.Buffered(); n > 0 {
		b, err := rw.Reader.Peek(n)
		if err != nil {
			_ = nc.Close()
			return nil, err
		}
		early = append(early, b...)
	}
	c := NewConn(nc, early, opt)
	c.deflate = deflate
	return c, nil
}

// heldWriter is a ResponseWriter whose connection, once it is taken over, is
// written to by nobody: what would be is held.
type heldWriter struct {
	http.ResponseWriter
	response []byte
}

// Hijack implements http.Hijacker.
func (h *heldWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err == nil {
		rw.Writer.Reset((*holder)(h))
	}
	return nc, rw, err
}

// holder is the connection that is not written to.
type holder heldWriter

// Write implements io.Writer.
func (h *holder) Write(b []byte) (int, error) {
	h.response = append(h.response, b...)
	return len(b), nil
}
