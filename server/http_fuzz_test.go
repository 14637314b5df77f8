package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/roomspan/roomspan/server"
)

// Whatever a request says, it is answered: with a handshake, a refusal, or a
// file of the bundle.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ method, path, query, origin, encodings string }{
		{"GET", "/socket.io/", "EIO=4&transport=polling", "", ""},
		{"GET", "/socket.io/", "EIO=4&transport=polling&sid=%00", "null", ""},
		{"GET", "/socket.io/", "EIO=4&EIO=3&transport=websocket&transport=__proto__", "https://example.com", ""},
		{"POST", "/socket.io/", "transport=polling&sid=", "https://example.com.evil", ""},
		{"OPTIONS", "", "EIO=4&transport=polling", "http://[::1", ""},
		{"GET", "/socket.io/socket.io.js", "", "https://EXAMPLE.com", "br;q=1, gzip;q=0.5"},
		{"HEAD", "socket.io.js", "%", "", "*;q=,gzip;;q=x"},
	} {
		f.Add(seed.method, seed.path, seed.query, seed.origin, seed.encodings)
	}
	s, err := server.New(server.WithOrigins("https://example.com"), server.WithCookie(http.Cookie{}), server.WithClientBundle(
		files(map[string]string{"socket.io.js": "plain", "socket.io.js.gz": "zipped"})))
	must(f, err)
	f.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	f.Fuzz(func(t *testing.T, method, path, query, origin, encodings string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method = method
		r.URL = &url.URL{Path: path, RawQuery: query}
		r.Header = http.Header{"Origin": {origin}, "Accept-Encoding": {encodings}}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		body := w.Body.String()
		switch w.Code {
		case http.StatusOK:
			if h := w.Header(); method != http.MethodHead && body != "plain" && body != "zipped" && h.Get("Set-Cookie") == "" {
				t.Errorf("answered with %q", body)
			}
		case http.StatusNoContent:
			if method != http.MethodOptions {
				t.Error("no content")
			}
		case http.StatusBadRequest, http.StatusForbidden:
			if !json.Valid([]byte(body)) {
				t.Errorf("refused with %q", body)
			}
		default:
			t.Errorf("%d %q", w.Code, body)
		}
		if w.Header().Get("Access-Control-Allow-Credentials") != "" && len(origin) != len("https://example.com") {
			t.Errorf("origin %q may send credentials", origin)
		}
	})
}
