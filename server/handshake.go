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

// handshakeOf copies what is kept of a request. The headers become one string:
// a map of slices would be most of the memory of an idle connection.
func handshakeOf(r *http.Request) *Handshake {
	var b strings.Builder
	_ = r.Header.Write(&b)
	return &Handshake{
		Time:        time.Now(),
		Address:     strings.Clone(r.RemoteAddr),
		URL:         strings.Clone(r.URL.RequestURI()),
		Secure:      r.TLS != nil,
		CrossDomain: r.Header.Get("Origin") != "",
		header:      b.String(),
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
