package engineio_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

func old(c *engineio.Config) { c.EIO3 = true }

// open3 makes a polling session of version 3.
func (r *rig) open3(query string) (opening, *receiver) {
	r.t.Helper()
	status, body := r.do("GET", "EIO=3&transport=polling"+query, "")
	var o opening
	_, packet, ok := strings.Cut(body, ":")
	if status != 200 || !ok || packet == "" || json.Unmarshal([]byte(packet[1:]), &o) != nil {
		r.t.Fatalf("handshake: %d %q", status, body)
	}
	return o, r.receiver()
}

func polling3(sid string) string { return "EIO=3&transport=polling&sid=" + sid }

func TestVersion3ByOptionOnly(t *testing.T) {
	r := newRig(t, nil)
	for _, query := range []string{"EIO=3&transport=polling", "transport=polling", "EIO=4&transport=polling&j=0"} {
		status, body := r.do("GET", query, "")
		checkRefusal(t, status, body, 400, 5)
	}
	r = newRig(t, old)
	for _, query := range []string{"EIO=2&transport=polling", "EIO=abc&transport=polling", "EIO=&transport=polling"} {
		status, body := r.do("GET", query, "")
		checkRefusal(t, status, body, 400, 5)
	}
	for _, query := range []string{"EIO=3&transport=polling", "transport=polling"} {
		if status, body := r.do("GET", query, ""); status != 200 || !strings.Contains(body, `:0{"sid":"`) || strings.Contains(body, "maxPayload") {
			t.Errorf("handshake of %s: %d %q", query, status, body)
		} else if v := r.receiver().session.Version(); v != 3 {
			t.Errorf("version %d of %s", v, query)
		}
	}
	o, _ := r.open3("")
	status, body := r.do("GET", polling(o.SID), "")
	checkRefusal(t, status, body, 400, 3)
	o4, _ := r.open()
	status, body = r.do("GET", polling3(o4.SID), "")
	checkRefusal(t, status, body, 400, 3)
}

func TestPayloadsOfVersion3(t *testing.T) {
	const binary = "application/octet-stream"
	for _, tt := range []struct {
		name, contentType, body string
		want                    []string
	}{
		{"one", "text/plain;charset=UTF-8", "6:4hello", []string{"hello"}},
		{"several", "", "2:4a3:4bc1:6", []string{"a", "bc"}},
		{"units of JavaScript", "", "5:4ü日👍2:4x", []string{"ü日👍", "x"}},
		{"base64", "", "6:b4AQID", []string{"b:\x01\x02\x03"}},
		{"binary", binary, "\x00\x03\xff4ü\x01\x03\xff\x04\x01\x02", []string{"ü", "b:\x01\x02"}},
		{"empty packets", "", "0:2:4x", []string{"x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, old)
			o, rec := r.open3("")
			status, body := r.do("POST", polling3(o.SID), tt.body, "Content-Type", tt.contentType)
			if status != 200 || body != "ok" {
				t.Fatalf("POST: %d %q", status, body)
			}
			for _, want := range tt.want {
				if got := await(t, rec.got, want); got != want {
					t.Errorf("received %q, want %q", got, want)
				}
			}
		})
	}
}

func TestBadPayloadsOfVersion3EndTheSession(t *testing.T) {
	const binary = "application/octet-stream"
	for _, tt := range []struct{ name, contentType, body string }{
		{"empty", "", ""},
		{"no length", "", "4hello"},
		{"empty length", "", ":4hello"},
		{"length is no number", "", "x:4hello"},
		{"negative", "", "-1:4"},
		{"too short", "", "9:4hello"},
		{"half a character", "", "2:4👍"[:len("2:4👍")]},
		{"endless length", "", strings.Repeat("1", 400) + ":"},
		{"rest", "", "1:612"},
		{"type", "", "1:9"},
		{"pong", "", "1:3"},
		{"binary of another type", "", "3:b3x"},
		{"bad base64", "", "4:b4=x"},
		{"binary: kind", binary, "\x02\x01\xff4"},
		{"binary: no length", binary, "\x00\xff4"},
		{"binary: digit", binary, "\x00\x0a\xff4"},
		{"binary: no end", binary, "\x00\x01"},
		{"binary: too short", binary, "\x00\x09\xff4"},
		{"binary: endless length", binary, "\x00" + strings.Repeat("\x01", 400)},
		{"binary: type", binary, "\x01\x01\xff\x03"},
		{"binary: empty", binary, "\x01\x00\xff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, old)
			o, _ := r.open3("")
			status, body := r.do("POST", polling3(o.SID), tt.body, "Content-Type", tt.contentType)
			checkRefusal(t, status, body, 400, 3)
			status, body = r.do("GET", polling3(o.SID), "")
			checkRefusal(t, status, body, 400, 1)
		})
	}
}

func TestPollsOfVersion3(t *testing.T) {
	r := newRig(t, old)
	o, rec := r.open3("")
	rec.send("ü")
	if _, body := r.do("GET", polling3(o.SID), ""); body != "2:4ü" {
		t.Errorf("poll %q", body)
	}
	rec.session.Send(outbound.Binary(outbound.Flags{}, []byte{7}))
	if _, body := r.do("GET", polling3(o.SID), ""); body != "\x01\x02\xff\x04\x07" {
		t.Errorf("poll %q", body)
	}
	if status, _ := r.do("POST", polling3(o.SID), "1:2"); status != 200 {
		t.Errorf("ping: %d", status)
	}
	if _, body := r.do("GET", polling3(o.SID), ""); body != "1:3" {
		t.Errorf("after a ping came %q", body)
	}
	o, rec = r.open3("&b64=1")
	rec.session.Send(outbound.Binary(outbound.Flags{}, []byte{1, 2, 3}))
	if _, body := r.do("GET", polling3(o.SID)+"&b64=1", ""); body != "6:b4AQID" {
		t.Errorf("poll in base64 %q", body)
	}
}
