package engineio_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/roomspan/roomspan/server/internal/engineio"
	"github.com/roomspan/roomspan/server/internal/outbound"
)

// called returns the text with which an answer calls the function of that number.
func called(t *testing.T, code, index string) string {
	t.Helper()
	text, ok := strings.CutPrefix(code, "___eio["+index+"](")
	text, ok2 := strings.CutSuffix(text, ");")
	var payload string
	if !ok || !ok2 || json.Unmarshal([]byte(text), &payload) != nil {
		t.Fatalf("the answer is no call of %s: %q", index, code)
	}
	return payload
}

// form is what the page of a client posts: engine.io-client 3.5, polling-jsonp.
func form(payload string) string {
	payload = strings.ReplaceAll(payload, `\n`, "\\\n")
	return url.Values{"d": {strings.ReplaceAll(payload, "\n", `\n`)}}.Encode()
}

func TestJSONP(t *testing.T) {
	for _, tt := range []struct {
		version, poll                   string
		hello, newline, escaped, binary string
	}{
		{"3", "15:4</script>\u2028\u2029\"\\\n6:b4AQID", "6:4hello", "4:4a\nb", `5:4a\nb`, "6:b4AQID"},
		{"4", "4</script>\u2028\u2029\"\\\n\x1ebAQID", "4hello", "4a\nb", `4a\nb`, "bAQID"},
	} {
		t.Run("version "+tt.version, func(t *testing.T) {
			r := newRig(t, old)
			status, body := r.do("GET", "EIO="+tt.version+"&transport=polling&j=1%29%3Balert%282", "")
			_, packet, ok := strings.Cut(called(t, body, "12"), "0{")
			var o opening
			if status != 200 || !ok || json.Unmarshal([]byte("{"+packet), &o) != nil {
				t.Fatalf("handshake: %d %q", status, body)
			}
			rec := r.receiver()
			query := "EIO=" + tt.version + "&transport=polling&sid=" + o.SID + "&j=5"
			rec.send("</script>\u2028\u2029\"\\\n")
			rec.session.Send(outbound.Binary(outbound.Flags{}, []byte{1, 2, 3}))
			_, body = r.do("GET", query, "")
			if got := called(t, body, "5"); got != tt.poll || strings.ContainsAny(body, "<\u2028\u2029\x1e\n") {
				t.Errorf("poll %q, want %q, as %q", got, tt.poll, body)
			}
			for payload, want := range map[string]string{
				tt.hello: "hello", tt.newline: "a\nb", tt.escaped: `a\nb`, tt.binary: "b:\x01\x02\x03",
			} {
				status, body := r.do("POST", query, form(payload), "Content-Type", "application/x-www-form-urlencoded")
				if status != 200 || body != "ok" {
					t.Fatalf("POST of %q: %d %q", payload, status, body)
				}
				if got := await(t, rec.got, want); got != want {
					t.Errorf("received %q, want %q", got, want)
				}
			}
		})
	}
}

func TestAnswersOfJSONPAreScripts(t *testing.T) {
	r := newRig(t, old)
	for j, index := range map[string]string{"0": "0", "": "", "7%5D%3Balert(1)%3B%2F%2F": "71", "%D9%A1": "", "alert": ""} {
		res, err := r.client.Get(r.http.URL + "/?EIO=3&transport=polling&j=" + j)
		if err != nil {
			t.Fatal(err)
		}
		code, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Header.Get("Content-Type"); got != "text/javascript; charset=UTF-8" {
			t.Errorf("j=%s: content type %q", j, got)
		}
		called(t, string(code), index)
	}
}

// A page that polls with scripts cannot take binary, whatever its first request
// was.
func TestJSONPWithoutB64(t *testing.T) {
	r := newRig(t, old)
	o, rec := r.open3("")
	rec.session.Send(outbound.Binary(outbound.Flags{}, []byte{1, 2, 3}))
	_, body := r.do("GET", polling3(o.SID)+"&j=0", "")
	if got := called(t, body, "0"); got != "6:b4AQID" {
		t.Errorf("poll %q", got)
	}
}

func TestBadForms(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "no d": "x=1", "bad escape": "d=%zz", "empty d": "d=", "no payload": "d=hello",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, old)
			o, _ := r.open3("")
			status, answer := r.do("POST", polling3(o.SID)+"&j=0", body)
			checkRefusal(t, status, answer, http.StatusBadRequest, 3)
			status, answer = r.do("GET", polling3(o.SID)+"&j=0", "")
			checkRefusal(t, status, answer, http.StatusBadRequest, 1)
		})
	}
}

func FuzzJSONP(f *testing.F) {
	for _, seed := range []string{"", "2:4a", "</script>", "\u2028\u2029", `a\nb`, "a\nb", `\\n`, "\r\n", "\x00\x1e👍", "\xff"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, j, payload string) {
		r, err := http.NewRequest("GET", "/?"+url.Values{"j": {j}}.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		index, ok := engineio.JSONPIndex(r)
		if !ok || strings.Trim(index, "0123456789") != "" {
			t.Fatalf("index %q of %q", index, j)
		}
		code := string(engineio.JSONP(index, []byte(payload)))
		if strings.ContainsAny(code, "<>\u2028\u2029\n\r") || !utf8.ValidString(code) {
			t.Fatalf("code %q", code)
		}
		if got := called(t, code, index); utf8.ValidString(payload) && got != payload {
			t.Fatalf("the page gets %q, not %q", got, payload)
		}
		// No client escapes a backslash and then a newline unmistakably; in JSON they do not meet.
		if got, err := engineio.FromForm([]byte(form(payload))); !strings.Contains(payload, "\\\n") && (err != nil || string(got) != payload) {
			t.Fatalf("%q of %q, %v", got, payload, err)
		}
		_, _ = engineio.FromForm([]byte(payload))
	})
}
