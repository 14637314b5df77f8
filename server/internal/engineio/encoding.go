package engineio

import (
	"net/http"
	"strconv"
	"strings"
)

// encode compresses the answer to a poll if it is long enough and the client
// accepts that, and sets the headers that tell of it.
func (srv *Server) encode(h http.Header, r *http.Request, payload []byte) []byte {
	if len(payload) < srv.cfg.Compression.Threshold {
		return payload
	}
	h.Add("Vary", "Accept-Encoding")
	coding := AcceptedEncoding(r.Header, "gzip", "deflate")
	var encoded []byte
	switch coding {
	case "gzip":
		encoded = srv.deflate.Gzip(payload)
	case "deflate":
		encoded = srv.deflate.Zlib(payload)
	}
	if encoded == nil {
		return payload
	}
	h.Set("Content-Encoding", coding)
	return encoded
}

// AcceptedEncoding returns that of the codings which the client likes best (RFC
// 9110, section 12.5.3), or "" if it accepts none of them. Like the module
// accepts on Node it prefers, among equals, what is named to what * stands for,
// and then what is named first. What the client thinks of no coding at all is
// not asked.
func AcceptedEncoding(h http.Header, codings ...string) string {
	var best preference
	chosen := ""
	for _, coding := range codings {
		if p := prefers(h["Accept-Encoding"], coding); p.weight > 0 && (chosen == "" || p.before(best)) {
			best, chosen = p, coding
		}
	}
	return chosen
}

// preference is what a client thinks of one coding.
type preference struct {
	weight float64 // 0: not acceptable
	named  bool    // and not meant by *
	place  int     // in the header
}

func (p preference) before(o preference) bool {
	switch {
	case p.weight != o.weight:
		return p.weight > o.weight
	case p.named != o.named:
		return p.named
	}
	return p.place < o.place
}

func prefers(lines []string, coding string) (found preference) {
	place := 0
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			place++
			name, params, _ := strings.Cut(part, ";")
			name = strings.TrimSpace(name)
			named := strings.EqualFold(name, coding)
			if !named && (name != "*" || found.named) {
				continue
			}
			if p := (preference{weight(params), named, place}); p.named && !found.named || p.weight > found.weight {
				found = p
			}
		}
	}
	return found
}

// weight reads the q of a list of parameters: 1 if there is none, 0 if it is
// no number.
func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(key), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				return 0
			}
			return q
		}
	}
	return 1
}
