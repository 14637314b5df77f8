package server

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"
)

// A Handshake is the request with which a client connected, and what it sent
// to join the namespace.
type Handshake struct {
	// Auth is the JSON text of the client's auth option: an object, "{}" if
	// it sent none. It is not to be changed.
	Auth json.RawMessage

	// Time is when the connection was made.
	Time time.Time

	// Address is the address of the peer, with its port: a proxy's if there
	// is one.
	Address string

	// URL is the path and query of the request.
	URL string

	// Secure says whether the connection is TLS up to this process.
	Secure bool

	// CrossDomain says whether the request had an Origin header.
	CrossDomain bool

	header string
}

// Query returns the query parameters of the request.
func (h Handshake) Query() url.Values {
	u, err := url.Parse(h.URL)
	if err != nil {
		return url.Values{}
	}
	return u.Query()
}

// Header returns a copy of the headers of the request.
func (h Handshake) Header() http.Header {
	header, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(h.header + "\r\n"))).ReadMIMEHeader()
	return http.Header(header)
}

// request is what is kept of the request of a client. Address, URL and headers
// are one string: apart, or even as a map, they would be much of the memory of
// an idle connection.
type request struct {
	text          string
	url, header   uint32 // where in text they begin
	time          int64  // Unix nanoseconds
	secure, cross bool
}

func requestOf(r *http.Request) request {
	var b strings.Builder
	b.WriteString(r.RemoteAddr)
	url := b.Len()
	b.WriteString(r.URL.RequestURI())
	header := b.Len()
	_ = r.Header.Write(&b)
	return request{
		text: strings.Clone(b.String()), // without the builder's spare room
		url:  uint32(url), header: uint32(header),
		time:   time.Now().UnixNano(),
		secure: r.TLS != nil,
		cross:  r.Header.Get("Origin") != "",
	}
}

func (r *request) handshake(auth json.RawMessage) Handshake {
	return Handshake{
		Auth:        auth,
		Time:        time.Unix(0, r.time),
		Address:     r.text[:r.url],
		URL:         r.text[r.url:r.header],
		Secure:      r.secure,
		CrossDomain: r.cross,
		header:      r.text[r.header:],
	}
}

// describe returns the handshake in the form that Socket.IO on Node gives it
// when other nodes ask for it.
func (h Handshake) describe() json.RawMessage {
	headers := make(map[string]string)
	for k, v := range h.Header() {
		headers[strings.ToLower(k)] = strings.Join(v, ", ")
	}
	query := make(map[string]string)
	for k, v := range h.Query() {
		query[k] = strings.Join(v, ",")
	}
	b, err := json.Marshal(struct {
		Headers map[string]string `json:"headers"`
		Time    string            `json:"time"`
		Address string            `json:"address"`
		XDomain bool              `json:"xdomain"`
		Secure  bool              `json:"secure"`
		Issued  int64             `json:"issued"`
		URL     string            `json:"url"`
		Query   map[string]string `json:"query"`
		Auth    json.RawMessage   `json:"auth"`
	}{headers, h.Time.UTC().Format(time.RFC1123), h.Address, h.CrossDomain, h.Secure,
		h.Time.UnixMilli(), h.URL, query, h.Auth})
	if err != nil {
		return json.RawMessage("{}")
	}
	return b
}
