package server_test

import (
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/roomspan/roomspan/server"
)

func files(contents map[string]string) fs.FS {
	m := make(fstest.MapFS)
	for name, text := range contents {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestClientBundle(t *testing.T) {
	n := start(t, server.WithOrigins("https://example.com"), server.WithClientBundle(files(map[string]string{
		"socket.io.js":            "script",
		"socket.io.js.map":        "{}",
		"socket.io.min.js":        "small script",
		"socket.io.min.js.gz":     "small script, zipped",
		"socket.io.esm.min.js":    "module",
		"socket.io.msgpack.js":    "not of client-dist",
		"socket.io.msgpack.js.gz": "neither",
		"secret.txt":              "not to be served",
	})))
	const js, source = "application/javascript; charset=utf-8", "application/json; charset=utf-8"
	for _, tt := range []struct {
		method, target, encodings string
		status                    int
		body, contentType, coding string
	}{
		{"GET", "/socket.io/socket.io.js", "", 200, "script", js, ""},
		{"GET", "/socket.io/socket.io.js?v=1", "gzip", 200, "script", js, ""},
		{"GET", "/any/path/socket.io.js.map", "", 200, "{}", source, ""},
		{"GET", "/socket.io/socket.io.min.js", "", 200, "small script", js, ""},
		{"GET", "/socket.io/socket.io.min.js", "br, gzip", 200, "small script, zipped", js, "gzip"},
		{"GET", "/socket.io/socket.io.min.js", "GZIP;q=0.5", 200, "small script, zipped", js, "gzip"},
		{"GET", "/socket.io/socket.io.min.js", "*", 200, "small script, zipped", js, "gzip"},
		{"GET", "/socket.io/socket.io.min.js", "gzip;q=0, *", 200, "small script", js, ""},
		{"GET", "/socket.io/socket.io.min.js", "gzip;q=0.0", 200, "small script", js, ""},
		{"GET", "/socket.io/socket.io.min.js", "br, identity", 200, "small script", js, ""},
		{"GET", "/socket.io/socket.io.esm.min.js", "", 200, "module", js, ""},
		{"HEAD", "/socket.io/socket.io.js", "", 200, "", js, ""},
		{"POST", "/socket.io/socket.io.js", "", 400, "", "", ""},
		{"GET", "/socket.io/socket.io.msgpack.js", "", 400, "", "", ""},
		{"GET", "/socket.io/socket.io.msgpack.min.js", "", 400, "", "", ""},
		{"GET", "/socket.io/socket.io.min.js.gz", "", 400, "", "", ""},
		{"GET", "/socket.io/secret.txt", "", 400, "", "", ""},
		{"GET", "/socket.io/..%2fsecret.txt", "", 400, "", "", ""},
		{"GET", "/socket.io/", "", 400, "", "", ""},
	} {
		header := []string{"Origin", "https://example.com"}
		if tt.encodings != "" {
			header = append(header, "Accept-Encoding", tt.encodings)
		}
		res, body := request(t, n, tt.method, tt.target, header...)
		h := res.Header
		if tt.status == 400 {
			refused(t, res, body, 400, 0, "Transport unknown")
			continue
		}
		if res.StatusCode != tt.status || body != tt.body || h.Get("Content-Type") != tt.contentType || h.Get("Content-Encoding") != tt.coding ||
			h.Get("Cache-Control") != "public, max-age=0" || h.Get("Access-Control-Allow-Origin") != "https://example.com" {
			t.Errorf("%s %s (%s): %d %q %v", tt.method, tt.target, tt.encodings, res.StatusCode, body, h)
		}
		if varies := strings.Contains(strings.Join(h["Vary"], ","), "Accept-Encoding"); varies != strings.Contains(tt.target, "min.js") && !strings.Contains(tt.target, "esm") {
			t.Errorf("%s: Vary %q", tt.target, h["Vary"])
		}
		checkNotModified(t, n, tt.target, tt.encodings, h.Get("ETag"))
	}
	join(t, n)
}

func checkNotModified(t *testing.T, n *node, target, encodings, etag string) {
	t.Helper()
	for _, tt := range []struct {
		match  string
		status int
	}{{etag, 304}, {"W/" + etag, 304}, {`"x", ` + etag, 304}, {"*", 304}, {`"x"`, 200}} {
		res, body := request(t, n, "GET", target, "If-None-Match", tt.match, "Accept-Encoding", encodings)
		if res.StatusCode != tt.status || tt.status == 304 && (body != "" || res.Header.Get("ETag") != etag) {
			t.Errorf("%s, If-None-Match %s: %d %q", target, tt.match, res.StatusCode, body)
		}
	}
}

// A page that may not connect may not read the script as a module either; as an
// ordinary script it is nobody's secret.
func TestClientBundleForOtherOrigins(t *testing.T) {
	n := start(t, server.WithClientBundle(files(map[string]string{"socket.io.js": "script"})))
	res, body := request(t, n, "GET", "/socket.io/socket.io.js", "Origin", "https://other.example")
	if res.StatusCode != 200 || body != "script" || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
	}
}

func TestNoClientBundleByDefault(t *testing.T) {
	n := start(t)
	res, body := request(t, n, "GET", "/socket.io/socket.io.js")
	refused(t, res, body, http.StatusBadRequest, 0, "Transport unknown")
}

// unreadable is a file system whose files cannot be read.
type unreadable struct{ fs.FS }

func (unreadable) Open(string) (fs.File, error) { return nil, fs.ErrPermission }

func TestClientBundleThatCannotBeLoaded(t *testing.T) {
	for _, f := range []fs.FS{nil, files(nil), files(map[string]string{"client-dist/socket.io.js": ""}), unreadable{}} {
		_, err := server.New(server.WithClientBundle(f))
		var oe *server.OptionError
		if !errors.As(err, &oe) || oe.Option != "WithClientBundle" || oe.Reason == "" {
			t.Errorf("%v: %v", f, err)
		}
	}
}
