package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/roomspan/roomspan/server/internal/engineio"
)

// clientFiles are the files of the folder client-dist of socket.io on npm. Each
// may have a source map beside it.
var clientFiles = [...]string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"}

// WithClientBundle serves the browser's client from files of the program's
// choice: GET of the server's path followed by socket.io.js, socket.io.min.js,
// socket.io.esm.min.js or socket.io.msgpack.min.js, or the name of one of their
// source maps, answers with the file of that name in the root of files, which
// is that of client-dist in the npm package socket.io. Who accepts gzip gets the
// file with .gz behind its name, if there is one. The files are read by New and
// kept in memory. Default: none; the library has no client in it.
func WithClientBundle(files fs.FS) Option {
	return func(c *config) { c.http.bundle, c.http.bundled = files, true }
}

// clientBundle are the files by name; nil is no bundle.
type clientBundle map[string]*clientFile

type clientFile struct {
	contentType string
	plain, gzip version
}

// version is one encoding of a file.
type version struct {
	body []byte // nil for none
	etag string
}

func (b *clientBundle) load(files fs.FS) error {
	if files == nil {
		return nil
	}
	*b = make(clientBundle)
	for _, script := range clientFiles {
		for name, contentType := range map[string]string{
			script:          "application/javascript; charset=utf-8",
			script + ".map": "application/json; charset=utf-8",
		} {
			f := &clientFile{contentType: contentType}
			if err := errors.Join(f.plain.load(files, name), f.gzip.load(files, name+".gz")); err != nil {
				return &OptionError{"WithClientBundle", err.Error()}
			}
			if f.plain.body != nil {
				(*b)[name] = f
			}
		}
	}
	if len(*b) == 0 {
		return &OptionError{"WithClientBundle", fmt.Sprintf("there is none of the files %s", strings.Join(clientFiles[:], ", "))}
	}
	return nil
}

func (v *version) load(files fs.FS, name string) error {
	body, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	sum := sha256.Sum256(body)
	v.body, v.etag = body, `"`+base64.RawURLEncoding.EncodeToString(sum[:15])+`"`
	return err
}

// serveBundle answers a request for a file of the client, and reports whether it
// was one. Engine.IO requests end with a slash, or with the name that the
// program gave its path.
func (s *Server) serveBundle(w http.ResponseWriter, r *http.Request) bool {
	name := path.Base(r.URL.Path)
	f := s.bundle[name]
	if f == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	h := w.Header()
	s.engine.CORS(h, r) // for scripts of type module; whoever may not read it is stopped by the browser
	h.Set("Cache-Control", "public, max-age=0")
	h.Set("Content-Type", f.contentType)
	v := f.plain
	if f.gzip.body != nil {
		h.Add("Vary", "Accept-Encoding")
		if engineio.AcceptedEncoding(r.Header, "gzip") != "" {
			v = f.gzip
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", v.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(v.body))
	return true
}
