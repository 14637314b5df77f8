package engineio

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// refusal is an answer with an error, in the form that engine.io gives it.
type refusal struct {
	status  int
	code    int // -1 for an answer without a body of this form
	message string
}

// The refusals of engine.io, with its codes.
var (
	errUnknownTransport   = &refusal{400, 0, "Transport unknown"}
	errUnknownSession     = &refusal{400, 1, "Session ID unknown"}
	errBadMethod          = &refusal{400, 2, "Bad handshake method"}
	errBadRequest         = &refusal{400, 3, "Bad request"}
	errForbidden          = &refusal{403, 4, "Forbidden"}
	errUnsupportedVersion = &refusal{400, 5, "Unsupported protocol version"}
	errTooLarge           = &refusal{413, -1, "Payload too large"}
	errUnavailable        = &refusal{503, -1, "Server shutting down"}
)

func (srv *Server) refuse(w http.ResponseWriter, no *refusal) {
	srv.cfg.Counters.Refused.Add(1)
	if no.code < 0 {
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

// origin holds the Origin header against the configuration. Unlike engine.io
// it refuses foreign origins, for polling and WebSocket alike: a page of
// another site must not connect with a visitor's cookies by default.
func (srv *Server) origin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true // no browser, or the same origin
	}
	all := slices.Contains(srv.cfg.Origins, "*")
	listed := slices.ContainsFunc(srv.cfg.Origins, func(o string) bool { return strings.EqualFold(o, origin) })
	if all || listed {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		if listed {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

func (srv *Server) preflight(w http.ResponseWriter, r *http.Request) {
	if w.Header().Get("Access-Control-Allow-Origin") == "" {
		srv.refuse(w, errBadMethod)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	w.WriteHeader(http.StatusNoContent)
}
