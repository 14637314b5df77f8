package engineio

import (
	"errors"
	"net/http"

	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/ws"
)

// errEnd ends ws.Conn.Serve when the session has been dealt with already.
var errEnd = errors.New("engineio: session over")

// wsReader takes what a WebSocket brings. It lives on the goroutine that reads.
type wsReader struct {
	s       *Session
	conn    *ws.Conn
	probing bool // until the client has sent its upgrade packet
	busy    bool // the batch under way has more than a pong
}

// openWebSocket makes a session of a handshake without polling.
func (srv *Server) openWebSocket(w http.ResponseWriter, r *http.Request, h http.Header, id string) {
	// Node sets the cookie for polling alone, though a client whose WebSocket
	// breaks may come back with polling.
	srv.setCookie(h, id)
	opening := outbound.Packet(srv.openPacket(id, srv.speaks3(r), false))
	conn, err := ws.Upgrade(w, r, h, &srv.ws, opening.Frames())
	if err != nil {
		srv.release(id)
		srv.badUpgrade(r, err)
		return
	}
	s := srv.newSession(r, conn, id)
	if s == nil {
		_ = conn.Close()
		return
	}
	srv.cfg.Counters.Sent.Add(1)
	s.rcv.Opened()
	// net/http keeps the request and its buffers as long as the handler runs.
	srv.run(s, &wsReader{s: s, conn: conn})
}

// serve reads a WebSocket until it ends, or until the client is idle: then
// another goroutine waits for it.
func (s *Session) serve(r *wsReader) {
	err := r.conn.Serve(r)
	if err == ws.ErrIdle {
		s.srv.wg.Add(1)
		go s.await(r) // not by wg.Go, which allocates twice for each heartbeat
		return
	}
	s.ended(r, err)
}

// await waits until an idle client sends something. It is a goroutine of its own.
func (s *Session) await(r *wsReader) {
	defer s.srv.wg.Done()
	if err := r.conn.Await(); err != nil {
		s.ended(r, err)
		return
	}
	s.serve(r)
}

// ended deals with the end of a WebSocket.
func (s *Session) ended(r *wsReader, err error) {
	if r.probing {
		s.endProbe(r.conn)
		return
	}
	var ce *ws.CloseError
	switch {
	case errors.Is(err, errEnd):
		r.conn.Linger(s.srv.cfg.CloseTimeout)
		s.terminate()
	case errors.As(err, &ce) && ce.Remote:
		// The client waits for the server to close the connection first.
		s.Close(ReasonTransportClose)
		s.FlushNow()
		s.abort(ReasonTransportClose)
	case errors.As(err, &ce):
		s.srv.cfg.Counters.ProtocolErrors.Add(1)
		s.closeWith(ReasonTransportError, outbound.Frame(ws.AppendClose(nil, ce.Code, ce.Reason)), closePacket)
		s.FlushNow()
		r.conn.Linger(s.srv.cfg.CloseTimeout)
		s.terminate()
	default:
		s.abort(ReasonTransportClose)
	}
}

// Message implements ws.Handler.
func (r *wsReader) Message(binary bool, data []byte) error {
	if r.probing {
		return r.probe(binary, data)
	}
	if binary || len(data) != 1 || data[0] != '3' {
		r.busy = true
	}
	if reason := r.s.receive(data, binary); reason != "" {
		r.s.fail(reason)
		r.s.FlushNow()
		return errEnd
	}
	return nil
}

// Ping implements ws.Handler.
func (r *wsReader) Ping(payload []byte) error {
	pong := ws.AppendFrame(nil, ws.OpPong, payload)
	if r.probing {
		return r.conn.WriteAll(pong)
	}
	r.s.Send(outbound.Frame(pong))
	return nil
}

// BatchEnd implements ws.Handler. A client of which nothing but a pong has come
// is idle: it has sent nothing for as long as a heartbeat takes.
func (r *wsReader) BatchEnd() (idle bool) {
	if r.probing {
		return false
	}
	r.s.rcv.BatchEnd()
	idle = !r.busy
	r.busy = false
	return idle
}
