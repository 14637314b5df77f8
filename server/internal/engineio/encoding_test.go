package engineio_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

// The cases behind "as accepts does" are what that module on Node answers.
func TestAcceptedEncoding(t *testing.T) {
	for _, tt := range []struct{ header, want string }{
		{"", ""},
		{"gzip", "gzip"},
		{"deflate", "deflate"},
		{"br", ""},
		{"gzip, deflate, br", "gzip"},
		{"deflate, gzip", "deflate"},
		{"GZip", "gzip"},
		{"x-gzip", ""},
		{"*", "gzip"},
		{"*, deflate", "deflate"},
		{"identity", ""},
		{"gzip;q=0", ""},
		{"gzip;q=0, deflate", "deflate"},
		{"gzip;q=0, *", "deflate"},
		{"*;q=0, deflate", "deflate"},
		{"*;q=0", ""},
		{"gzip;q=0.5, deflate;q=0.6", "deflate"},
		{"gzip;q=0.5, *;q=0.6", "deflate"},
		{"gzip; Q=0.001", "gzip"},
		{"gzip ; a=b ; q = 0", ""},
		{"gzip;q=x", ""},
		{"gzip;q=", ""},
		{"gzip;q=NaN", ""},
		{"gzip;q=-1", ""},
		{"gzip;level=9", "gzip"},
		{"identity;q=1, gzip;q=0.1", "gzip"}, // as accepts does
		{"gzip;q=0.1, gzip;q=0.8, deflate;q=0.5", "gzip"},
		{", ,;q=1,,gzip", "gzip"},
		{"br\ngzip;q=0.2\ndeflate;q=0.3", "deflate"},
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(tt.header, "\n") {
			h.Add("Accept-Encoding", line)
		}
		if got := engineio.AcceptedEncoding(h, "gzip", "deflate"); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.header, got, tt.want)
		}
	}
	if got := engineio.AcceptedEncoding(http.Header{}, "gzip"); got != "" {
		t.Errorf("no header: %q", got)
	}
}

func FuzzAcceptedEncoding(f *testing.F) {
	f.Add("gzip;q=0.5, deflate;q=0.6, *;q=0")
	f.Fuzz(func(t *testing.T, header string) {
		got := engineio.AcceptedEncoding(http.Header{"Accept-Encoding": {header}}, "gzip", "deflate")
		if got != "" && !strings.Contains(strings.ToLower(header), got) && !strings.Contains(header, "*") {
			t.Errorf("%q", got)
		}
	})
}

const threshold = 500

func compress(cfg *engineio.Config) {
	cfg.Compression = engineio.Compression{WebSocket: true, Polling: true, Level: 1, Threshold: threshold}
}

// poll is a GET whose answer the client of net/http does not touch, since it asks
// for the encodings itself; there must be some.
func (r *rig) poll(sid, encodings string) (http.Header, []byte) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.http.URL+"/engine.io/?"+polling(sid), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", encodings)
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		r.t.Fatalf("%d %q, %v", res.StatusCode, b, err)
	}
	return res.Header, b
}

func decode(t *testing.T, coding string, body []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch coding {
	case "":
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	default:
		t.Fatalf("coding %q", coding)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (r *receiver) sendPlain(text string) {
	r.session.Send(outbound.Finish(append(outbound.Start(len(text)), text...), nil, outbound.Flags{NoCompress: true}))
}

func TestPollsAreCompressed(t *testing.T) {
	long := strings.Repeat("long ", threshold)
	for _, tt := range []struct {
		name      string
		cfg       func(*engineio.Config)
		encodings string
		send      func(*receiver)
		coding    string
		vary      bool
		want      string
	}{
		{"gzip", compress, "gzip, deflate, br", func(r *receiver) { r.send(long) }, "gzip", true, "4" + long},
		{"deflate", compress, "deflate", func(r *receiver) { r.send(long) }, "deflate", true, "4" + long},
		{"neither", compress, "br", func(r *receiver) { r.send(long) }, "", true, "4" + long},
		{"nothing accepted", compress, "identity", func(r *receiver) { r.send(long) }, "", true, "4" + long},
		{"as long as must be", compress, "gzip", func(r *receiver) { r.send(long[:threshold-1]) }, "gzip", true, "4" + long[:threshold-1]},
		{"short", compress, "gzip", func(r *receiver) { r.send(long[:threshold-2]) }, "", false, "4" + long[:threshold-2]},
		{"short ones together", compress, "gzip", func(r *receiver) { r.send(long[:300]); r.send(long[:300]) }, "gzip", true,
			"4" + long[:300] + "\x1e4" + long[:300]},
		{"not to be compressed", compress, "gzip", func(r *receiver) { r.sendPlain(long) }, "", false, "4" + long},
		{"one of two not to be compressed", compress, "gzip", func(r *receiver) { r.sendPlain(long); r.send("x") }, "gzip", true, "4" + long + "\x1e4x"},
		{"off", func(cfg *engineio.Config) { compress(cfg); cfg.Compression.Polling = false }, "gzip", func(r *receiver) { r.send(long) }, "", false, "4" + long},
		{"all off", nil, "gzip", func(r *receiver) { r.send(long) }, "", false, "4" + long},
		{"for one origin", func(cfg *engineio.Config) { compress(cfg); cfg.Origins = []string{"https://example.com"} }, "gzip",
			func(r *receiver) { r.send(long) }, "gzip", true, "4" + long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.cfg)
			o, rec := r.open()
			tt.send(rec)
			h, body := r.poll(o.SID, tt.encodings)
			coding := h.Get("Content-Encoding")
			if got := decode(t, coding, body); coding != tt.coding || got != tt.want {
				t.Errorf("coding %q: %.80q", coding, got)
			}
			if vary := strings.Contains(strings.Join(h["Vary"], ","), "Accept-Encoding"); vary != tt.vary {
				t.Errorf("Vary %q", h["Vary"])
			}
			if n, err := strconv.Atoi(h.Get("Content-Length")); n != len(body) || h.Get("Content-Type") != "text/plain; charset=UTF-8" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v, %v", h, err)
			}
			if n := r.counters.Compression.Compressions.Load(); (n == 1) != (tt.coding != "") {
				t.Errorf("%d compressions", n)
			}
		})
	}
}

// A client that decompresses by itself, as that of net/http, notices nothing.
func TestPollsOfAnyClient(t *testing.T) {
	r := newRig(t, compress)
	o, rec := r.open()
	var random strings.Builder
	for _, b := range []byte(noise(2000)) {
		random.WriteByte('0' + b&0x3f) // fewer bits, but no matches
	}
	for _, text := range []string{strings.Repeat("x", 10_000), random.String()} {
		rec.send(text)
		if status, body := r.get(o.SID); status != 200 || body != "4"+text {
			t.Errorf("%d %.80q", status, body)
		}
	}
}

// engine.io takes bodies of POST as they are, and so do we: a compressed one is
// no packet.
func TestCompressedPostIsNoPacket(t *testing.T) {
	r := newRig(t, compress)
	o, rec := r.open()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, "4hello")
	_ = w.Close()
	status, body := r.do("POST", polling(o.SID), b.String(), "Content-Encoding", "gzip")
	checkRefusal(t, status, body, 400, 3)
	if reason := await(t, rec.closed, "the end"); reason != engineio.ReasonParseError {
		t.Errorf("reason %q", reason)
	}
}
