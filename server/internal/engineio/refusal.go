package engineio

import (
	"encoding/json"
	"net/http"
)

// refusal is an answer with an error, in the form that engine.io gives it.
type refusal struct {
	status  int
	code    int // -1 for an answer without a body of this form
	message string
	context string // which of the cases of a code
	err     error  // of what the program was asked for
}

// The refusals of engine.io, with its codes and its names of their cases.
var (
	errUnknownTransport   = &refusal{status: 400, code: 0, message: "Transport unknown"}
	errUnknownSession     = &refusal{status: 400, code: 1, message: "Session ID unknown"}
	errBadMethod          = &refusal{status: 400, code: 2, message: "Bad handshake method"}
	errBadRequest         = &refusal{status: 400, code: 3, message: "Bad request"}
	errInvalidOrigin      = &refusal{status: 400, code: 3, message: "Bad request", context: "INVALID_ORIGIN"}
	errTransportMismatch  = &refusal{status: 400, code: 3, message: "Bad request", context: "TRANSPORT_MISMATCH"}
	errProtocolMismatch   = &refusal{status: 400, code: 3, message: "Bad request", context: "PROTOCOL_MISMATCH"}
	errTransportHandshake = &refusal{status: 400, code: 3, message: "Bad request", context: "TRANSPORT_HANDSHAKE_ERROR"}
	errForeignOrigin      = &refusal{status: 403, code: 4, message: "Forbidden", context: "FOREIGN_ORIGIN"} // not of engine.io
	errUnsupportedVersion = &refusal{status: 400, code: 5, message: "Unsupported protocol version"}
	errTooLarge           = &refusal{status: 413, code: -1, message: "Payload too large"}
	errUnavailable        = &refusal{status: 503, code: -1, message: "Server shutting down"}
)

// A Refusal is what Config.Refused learns of a request that was refused.
type Refusal struct {
	Request *http.Request
	Code    int    // of Engine.IO, 0 to 5
	Message string // for the client
	Context string // engine.io's name of the case, where a code has several
	Err     error  // of Config.Allow, Config.NewID, or the WebSocket handshake
}

// reject refuses a request that engine.io would report as a connection error.
// What goes wrong within a session is none.
func (srv *Server) reject(w http.ResponseWriter, r *http.Request, no *refusal) {
	srv.report(r, no)
	srv.refuse(w, no)
}

func (srv *Server) report(r *http.Request, no *refusal) {
	if f := srv.cfg.Refused; f != nil && no.code >= 0 {
		f(Refusal{Request: r, Code: no.code, Message: no.message, Context: no.context, Err: no.err})
	}
}

// badUpgrade counts and reports a WebSocket handshake that has been answered
// with an error already.
func (srv *Server) badUpgrade(r *http.Request, err error) {
	no := *errTransportHandshake
	no.err = err
	srv.cfg.Counters.Refused.Add(1)
	srv.report(r, &no)
}

// retryAfter is how many seconds a client should stay away from a node that
// does not take it: as long as a balancer needs to choose another.
const retryAfter = "1"

func (srv *Server) refuse(w http.ResponseWriter, no *refusal) {
	srv.cfg.Counters.Refused.Add(1)
	if no.code < 0 {
		if no.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
		}
		http.Error(w, no.message, no.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	_ = json.NewEncoder(w).Encode(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{no.code, no.message})
}
