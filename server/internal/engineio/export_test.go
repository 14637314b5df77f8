package engineio

import "net/http"

// For the fuzz tests.
var (
	CutPacket3   = cutPacket3
	DecodeBase64 = decodeBase64
	JSONPIndex   = jsonpIndex
	JSONP        = jsonp
	FromForm     = fromForm
)

// Post serves a POST that has been found to be for a session.
func (s *Session) Post(w http.ResponseWriter, r *http.Request) { s.post(w, r) }

// Get serves a GET that has been found to be for a session.
func (s *Session) Get(w http.ResponseWriter, r *http.Request) { s.get(w, r) }
