package engineio

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// JSONP is polling by script elements, for browsers without CORS: the answer to
// a GET is a call of a function of the page, and a POST is a form. Source:
// engine.io 6, polling-jsonp.

// scriptType is the content type of answers. Node says text/plain, as for other
// polls, which a browser does not run if it is told X-Content-Type-Options:
// nosniff.
const scriptType = "text/javascript; charset=UTF-8"

var errBadForm = errors.New("engineio: a form without d")

// jsonpIndex returns the number of the function that the page waits with, and
// whether the request is of this kind. Other characters than digits are
// dropped, since the number becomes code of the page.
func jsonpIndex(r *http.Request) (index string, ok bool) {
	query := r.URL.Query()
	if !query.Has("j") {
		return "", false
	}
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, query.Get("j")), true
}

// jsonp returns a payload as code. encoding/json escapes what a script must
// not have: <, >, &, U+2028 and U+2029.
func jsonp(index string, payload []byte) []byte {
	text, err := json.Marshal(string(payload))
	if err != nil {
		text = []byte(`""`) // a string has no error
	}
	code := make([]byte, 0, len(text)+len(index)+12)
	code = append(append(append(code, "___eio["...), index...), "]("...)
	return append(append(code, text...), ");"...)
}

// fromForm returns the payload of a form. In it \n stands for a newline, and \\n
// for a backslash and an n: a form would make \r\n of a newline.
func fromForm(body []byte) ([]byte, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	if !form.Has("d") {
		return nil, errBadForm
	}
	data := form.Get("d")
	var b strings.Builder
	for {
		i := strings.Index(data, `\n`)
		if i < 0 {
			b.WriteString(data)
			return []byte(b.String()), nil
		}
		if i > 0 && data[i-1] == '\\' {
			b.WriteString(data[:i-1])
			b.WriteString(`\n`)
		} else {
			b.WriteString(data[:i])
			b.WriteByte('\n')
		}
		data = data[i+2:]
	}
}
