package ws_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server/internal/ws"
)

const accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

func TestNegotiate(t *testing.T) {
	const pmd = "permessage-deflate"
	for _, tt := range []struct{ offers, want string }{
		// What clients send.
		{pmd + "; client_max_window_bits", accepted}, // browsers, ws
		{pmd, accepted},
		{pmd + "; server_no_context_takeover; client_no_context_takeover", accepted},
		{pmd + "; client_max_window_bits; server_max_window_bits=10, " + pmd + "; client_max_window_bits", accepted},
		{"x-webkit-deflate-frame", ""},
		{"x-webkit-deflate-frame, " + pmd, accepted},
		{"permessage-bzip2; level=9, " + pmd + ";client_max_window_bits=10", accepted},

		// Windows.
		{pmd + "; client_max_window_bits=8", accepted},
		{pmd + "; client_max_window_bits=15", accepted},
		{pmd + "; server_max_window_bits=15", accepted + "; server_max_window_bits=15"},
		{pmd + `; server_max_window_bits="15"`, accepted + "; server_max_window_bits=15"},
		{pmd + `; server_max_window_bits="\15"`, accepted + "; server_max_window_bits=15"},
		{pmd + "; server_max_window_bits=14", ""},
		{pmd + "; server_max_window_bits=8", ""},
		{pmd + "; server_max_window_bits=8, " + pmd + "; server_max_window_bits=15", accepted + "; server_max_window_bits=15"},

		// Parameters that decline an offer.
		{pmd + "; client_max_window_bits=7", ""},
		{pmd + "; client_max_window_bits=16", ""},
		{pmd + "; client_max_window_bits=08", ""},
		{pmd + "; client_max_window_bits=1", ""},
		{pmd + "; client_max_window_bits=150", ""},
		{pmd + "; client_max_window_bits=x", ""},
		{pmd + "; server_max_window_bits", ""},
		{pmd + "; server_max_window_bits=015", ""},
		{pmd + "; server_max_window_bits=16", ""},
		{pmd + "; server_no_context_takeover=1", ""},
		{pmd + "; client_no_context_takeover=true", ""},
		{pmd + "; client_no_context_takeover; client_no_context_takeover", ""},
		{pmd + "; client_max_window_bits; client_max_window_bits=10", ""},
		{pmd + "; unknown", ""},
		{pmd + "; Client_max_window_bits", ""},
		{pmd + "; unknown, " + pmd, accepted},
		{"Permessage-Deflate", ""},

		// White space.
		{" " + pmd + " ;\tclient_max_window_bits = 10 , other ", accepted},

		// What is not of the grammar.
		{"", "malformed"},
		{" ", "malformed"},
		{",", "malformed"},
		{pmd + ",", "malformed"},
		{pmd + ";", "malformed"},
		{pmd + "; =", "malformed"},
		{pmd + "; a=", "malformed"},
		{pmd + `; a=""`, "malformed"},
		{pmd + `; a="b`, "malformed"},
		{pmd + `; a="b\`, "malformed"},
		{pmd + `; a="b c"`, "malformed"},
		{pmd + `; a=b"c"`, "malformed"},
		{pmd + " x", "malformed"},
		{pmd + ", other; ü", "malformed"},
		{pmd + ", other; a=\x00", "malformed"},
	} {
		got, err := ws.Negotiate(tt.offers)
		if err != nil {
			got = "malformed"
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.offers, got, tt.want)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits=10, x; y=\"z\"")
	f.Add(`permessage-deflate; server_max_window_bits="\15"`)
	f.Fuzz(func(t *testing.T, offers string) {
		got, err := ws.Negotiate(offers)
		if got != "" && (err != nil || got != accepted && got != accepted+"; server_max_window_bits=15" || !strings.Contains(offers, "permessage-deflate")) {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestUpgradeNegotiates(t *testing.T) {
	for _, tt := range []struct {
		name       string
		on         bool
		offers     []string
		status     int
		extensions string
	}{
		{"on", true, []string{"permessage-deflate; client_max_window_bits"}, 101, accepted},
		{"on, two lines", true, []string{"other", "permessage-deflate"}, 101, accepted},
		{"on, no offer", true, nil, 101, ""},
		{"on, declined", true, []string{"permessage-deflate; server_max_window_bits=9"}, 101, ""},
		{"on, malformed", true, []string{"permessage-deflate;"}, 400, ""},
		{"off", false, []string{"permessage-deflate"}, 101, ""},
		{"off, malformed", false, []string{"permessage-deflate;"}, 101, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agreed := make(chan bool, 1)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				opt := *options
				opt.Deflate = tt.on
				c, err := ws.Upgrade(w, r, w.Header(), &opt, nil)
				if err == nil {
					agreed <- c.Deflate()
					_ = c.Close()
				}
			}))
			defer s.Close()
			req, err := http.NewRequest(http.MethodGet, s.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			for key, value := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
				req.Header.Set(key, value)
			}
			req.Header["Sec-Websocket-Extensions"] = tt.offers
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if got := strings.Join(res.Header["Sec-Websocket-Extensions"], "|"); res.StatusCode != tt.status || got != tt.extensions {
				t.Errorf("status %d with %q", res.StatusCode, got)
			}
			if res.StatusCode == 101 && <-agreed != (tt.extensions != "") {
				t.Error("the connection knows nothing of it")
			}
		})
	}
}
