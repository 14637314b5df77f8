package engineio

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CORS holds the Origin header against the configuration, sets the headers of
// the Fetch standard as the cors module of Node does, and reports whether the
// request may be served. Unlike engine.io it refuses foreign origins, for
// polling and WebSocket alike: a page of another site must not connect with a
// visitor's cookies by default, and browsers do not apply CORS to WebSockets.
func (srv *Server) CORS(h http.Header, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	listed, all, some := false, false, false
	for _, o := range srv.cfg.Origins {
		if o == "*" {
			all = true
			continue
		}
		some = true
		listed = listed || strings.EqualFold(o, origin)
	}
	if some {
		h.Add("Vary", "Origin") // on every answer: a cache may hold one without Origin
	}
	switch {
	case listed:
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		return true
	case all:
		h.Set("Access-Control-Allow-Origin", "*")
		return true
	case origin == "":
		return true // no browser, or the same origin
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// preflight answers OPTIONS, with the methods that the cors module lists by
// default. Pages of listed origins may also reach a server in a private
// network (Private Network Access), which the cors module does not know.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET,HEAD,PUT,PATCH,POST,DELETE")
	h.Add("Vary", "Access-Control-Request-Headers")
	if asked := slices.Clone(r.Header["Access-Control-Request-Headers"]); len(asked) > 0 {
		h["Access-Control-Allow-Headers"] = asked
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" && h.Get("Access-Control-Allow-Credentials") != "" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	h.Set("Content-Length", "0") // some browsers wait for a body else
	w.WriteHeader(http.StatusNoContent)
}
