package engineio_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server/internal/engineio"
)

// cors makes a request from a page of an origin and returns the answer without
// its body.
func (r *rig) cors(method, query, origin string, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequest(method, r.http.URL+"/?"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

// The headers of the answers, beside those of the cors module of Node with the
// options origin and, for listed origins, credentials.
func TestCORS(t *testing.T) {
	const site, other = "https://example.com", "https://other.example"
	for _, tt := range []struct {
		name, origins, origin                string
		status                               int // of a GET
		allowOrigin, allowCredentials, varys string
	}{
		{"off, same origin", "", "", 200, "", "", ""},
		{"off, foreign origin", "", site, 403, "", "", ""},
		{"listed", site, site, 200, site, "true", "Origin"},
		{"listed in another case", site, "HTTPS://example.com", 200, "HTTPS://example.com", "true", "Origin"},
		{"not listed", site, other, 403, "", "", "Origin"},
		{"list, no origin", site, "", 200, "", "", "Origin"},
		{"second of a list", other + " " + site, site, 200, site, "true", "Origin"},
		{"all", "*", site, 200, "*", "", ""},
		{"all, no origin", "*", "", 200, "*", "", ""},
		{"all and listed", "* " + site, site, 200, site, "true", "Origin"},
		{"all, not listed", "* " + site, other, 200, "*", "", "Origin"},
		{"all, null", "*", "null", 200, "*", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(c *engineio.Config) { c.Origins = strings.Fields(tt.origins) })
			res := r.cors("GET", "EIO=4&transport=polling", tt.origin)
			check := func(what string, want int) {
				h := res.Header
				if res.StatusCode != want || h.Get("Access-Control-Allow-Origin") != tt.allowOrigin ||
					h.Get("Access-Control-Allow-Credentials") != tt.allowCredentials || h.Get("Vary") != tt.varys {
					t.Errorf("%s: %d %v", what, res.StatusCode, h)
				}
			}
			check("GET", tt.status)
			// A refusal says who may read it, too.
			want := 400
			if tt.status == 403 {
				want = 403
			}
			res = r.cors("GET", "EIO=4&transport=polling&sid=unknown", tt.origin)
			check("unknown session", want)
		})
	}
}

func TestPreflight(t *testing.T) {
	const site = "https://example.com"
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-a, x-b",
		"Access-Control-Request-Private-Network", "true"}
	for _, tt := range []struct {
		name, origins, origin   string
		header                  []string
		status                  int
		headers, privateNetwork string
	}{
		{"off", "", "", preflight, 400, "", ""},
		{"off, foreign origin", "", site, preflight, 403, "", ""},
		{"listed", site, site, preflight, 204, "x-a, x-b", "true"},
		{"not listed", site, "https://other.example", preflight, 403, "", ""},
		{"all", "*", site, preflight, 204, "x-a, x-b", ""},
		{"no preflight", site, site, nil, 204, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, func(c *engineio.Config) { c.Origins = strings.Fields(tt.origins) })
			for _, query := range []string{"EIO=4&transport=polling", "EIO=4&transport=polling&sid=x"} {
				res := r.cors("OPTIONS", query, tt.origin, tt.header...)
				h := res.Header
				if tt.status == 204 {
					if res.StatusCode != 204 || h.Get("Access-Control-Allow-Headers") != tt.headers ||
						h.Get("Access-Control-Allow-Private-Network") != tt.privateNetwork ||
						h.Get("Access-Control-Allow-Methods") != "GET,HEAD,PUT,PATCH,POST,DELETE" ||
						!strings.Contains(strings.Join(h["Vary"], ","), "Access-Control-Request-Headers") {
						t.Errorf("%d %v", res.StatusCode, h)
					}
				} else if res.StatusCode != tt.status || h.Get("Access-Control-Allow-Methods") != "" {
					t.Errorf("%d %v", res.StatusCode, h)
				}
			}
			if r.counters.Opened.Load() != 0 {
				t.Error("a session was made")
			}
		})
	}
}
