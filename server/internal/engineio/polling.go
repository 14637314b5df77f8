package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/roomspan/roomspan/server/internal/outbound"
	"github.com/roomspan/roomspan/server/internal/poison"
)

// poll is a GET that waits for something to send. It is answered at most once.
type poll struct {
	answer chan []*outbound.Message // buffered, so that who answers never waits
}

// openPolling makes a session of a GET without sid.
func (srv *Server) openPolling(w http.ResponseWriter, r *http.Request, id string) {
	s := srv.newSession(r, nil, id)
	if s == nil {
		srv.refuse(w, errUnavailable)
		return
	}
	srv.setCookie(w.Header(), id)
	s.answerPoll(w, r, []*outbound.Message{outbound.Packet(srv.openPacket(s.id, s.v3, srv.cfg.WebSocket && !srv.cfg.NoUpgrades))})
	s.rcv.Opened()
}

// get serves a poll of the client.
func (s *Session) get(w http.ResponseWriter, r *http.Request) {
	p := &poll{answer: make(chan []*outbound.Message, 1)}
	s.mu.Lock()
	switch {
	case s.conn != nil: // the upgrade has overtaken the request
		s.mu.Unlock()
		s.srv.refuse(w, errTransportMismatch)
		return
	case s.poll != nil:
		// Two polls at once: the first is told that the session is over.
		s.mu.Unlock()
		s.fail(ReasonTransportError)
		s.srv.refuse(w, errBadRequest)
		return
	case s.state == stateClosed:
		s.mu.Unlock()
		s.srv.refuse(w, errUnknownSession)
		return
	case s.queue.Len() > 0 && s.held == 0:
		all := s.queue.TakeAll()
		over := s.state == stateClosing
		s.mu.Unlock()
		s.answerPoll(w, r, all)
		if over {
			s.terminate()
		}
		return
	}
	s.poll = p
	s.mu.Unlock()
	// A deadline that the program set for its other requests must not end a
	// poll, nor look like a client that went away.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	select {
	case messages := <-p.answer:
		s.answerPoll(w, r, messages)
	case <-r.Context().Done():
		s.mu.Lock()
		mine := s.poll == p
		if mine {
			s.poll = nil
		}
		s.mu.Unlock()
		s.abort(ReasonTransportError)
		if !mine {
			<-p.answer
		}
	}
}

func (s *Session) answerPoll(w http.ResponseWriter, r *http.Request, messages []*outbound.Message) {
	contentType := "text/plain; charset=UTF-8"
	index, script := "", false
	if s.srv.cfg.EIO3 {
		index, script = jsonpIndex(r)
	}
	size, compress := 0, false
	for _, m := range messages {
		size += len(m.Frames()) + 1
		compress = compress || !m.NoCompress
	}
	payload := make([]byte, 0, size)
	if s.v3 {
		var binary bool
		if payload, binary = outbound.AppendPayload3(payload, messages, s.inBase64 || script); binary {
			contentType = "application/octet-stream"
		}
	} else {
		for _, m := range messages {
			payload = m.AppendPayload(payload)
		}
	}
	if script {
		contentType, payload = scriptType, jsonp(index, payload)
	}
	if compress && s.srv.cfg.Compression.Polling {
		payload = s.srv.encode(w.Header(), r, payload)
	}
	if err := writePayload(w, s.srv.cfg.WriteTimeout, contentType, payload); err != nil {
		if isTimeout(err) {
			s.srv.cfg.Counters.SlowClients.Add(1)
			s.abort(ReasonSlowClient)
			return
		}
		s.abort(ReasonTransportError)
	}
}

// writePayload writes the answer to a GET and waits for the client as long as
// timeout allows, whatever deadlines the program set.
func writePayload(w http.ResponseWriter, timeout time.Duration, contentType string, payload []byte) error {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(payload)))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(timeout))
	_, err := w.Write(payload)
	if err == nil {
		err = rc.Flush()
	}
	if errors.Is(err, http.ErrNotSupported) {
		err = nil
	}
	_ = rc.SetWriteDeadline(time.Time{})
	return err
}

// post serves what the client sends.
func (s *Session) post(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	switch {
	case s.state != stateOpen:
		s.mu.Unlock()
		s.srv.refuse(w, errUnknownSession)
		return
	case s.conn != nil: // the upgrade has overtaken the request: a message at a time
		s.mu.Unlock()
		s.srv.refuse(w, errTransportMismatch)
		return
	case s.posted != nil:
		s.mu.Unlock()
		s.fail(ReasonTransportError)
		s.srv.refuse(w, errBadRequest)
		return
	}
	s.posted = make(chan struct{})
	s.mu.Unlock()
	refusal := s.readPost(w, r)
	s.mu.Lock()
	close(s.posted)
	s.posted = nil
	s.mu.Unlock()
	if refusal != nil {
		s.srv.refuse(w, refusal)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Content-Length", "2")
	_, _ = io.WriteString(w, "ok")
}

func (s *Session) readPost(w http.ResponseWriter, r *http.Request) *refusal {
	binaryBody := r.Header.Get("Content-Type") == "application/octet-stream"
	if binaryBody && !s.v3 {
		s.fail(ReasonTransportError) // binary bodies are of version 3
		return errBadRequest
	}
	max := int64(s.srv.cfg.MaxPayload)
	if r.ContentLength > max {
		w.Header().Set("Connection", "close") // the body is not read
		return errTooLarge
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.srv.cfg.PingInterval + s.srv.cfg.PingTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	_ = rc.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge
	case err != nil:
		s.abort(ReasonTransportError)
		return errBadRequest
	}
	defer func(body []byte) {
		s.rcv.BatchEnd()
		poison.Bytes(body)
	}(body)
	if s.srv.cfg.EIO3 {
		if _, ok := jsonpIndex(r); ok {
			if body, err = fromForm(body); err != nil {
				return s.violated(ReasonParseError)
			}
		}
	}
	if s.v3 {
		if reason := s.receivePayload3(body, binaryBody); reason != "" {
			return s.violated(reason)
		}
		return nil
	}
	for {
		packet, rest, more := bytes.Cut(body, []byte{outbound.Separator})
		if reason := s.receive(packet, false); reason != "" {
			return s.violated(reason)
		}
		if !more {
			return nil
		}
		body = rest
	}
}

// violated ends the session for a reason that a packet gave.
func (s *Session) violated(reason string) *refusal {
	s.fail(reason)
	if reason == ReasonTransportClose {
		return nil
	}
	return errBadRequest
}

// decodeBase64 decodes in place.
func decodeBase64(b []byte) ([]byte, error) {
	n, err := base64.StdEncoding.Decode(b, b)
	return b[:n], err
}
