package engineio

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/roomspan/roomspan/server/internal/outbound"
)

// Engine.IO 3 is what clients of Socket.IO 2 speak: they ping and the server
// answers, payloads have lengths before their packets, and binary packets
// their type. Source: engine.io 6 with allowEIO3, and engine.io-parser 2.

var pongMessage = outbound.Packet("3")

// Version returns the version of the protocol that the client speaks: 3 or 4.
func (s *Session) Version() int {
	if s.v3 {
		return 3
	}
	return 4
}

// ping answers the ping of a client of version 3, which has its time anew. It
// has it after an upgrade, too, where Node forgets the time-out, and with it
// clients that are gone.
func (s *Session) ping() {
	s.mu.Lock()
	if s.state == stateOpen {
		s.queue.Push(pongMessage)
		if s.overfullLocked() {
			s.mu.Unlock()
			s.srv.cfg.Counters.SlowClients.Add(1)
			s.srv.cfg.Counters.QueueOverflows.Add(1)
			s.abort(ReasonSlowClient)
			return
		}
		s.scheduleLocked()
		s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.PingInterval+s.srv.cfg.PingTimeout)
	}
	s.mu.Unlock()
}

// silentLocked deals with a client of version 3 that has not pinged in time. It is
// called with the lock, and unlocks.
func (s *Session) silentLocked() {
	if s.paused.Load() > 0 {
		// The ping may be behind what we ourselves do not read.
		s.srv.wheel.Set(&s.heartbeat, s, s.srv.cfg.PingTimeout)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	s.srv.cfg.Counters.PingTimeouts.Add(1)
	s.abort(ReasonPingTimeout)
}

// translate gives messages the form that they have on the WebSocket of the
// client, if that is of version 3.
func (s *Session) translate(messages []*outbound.Message) {
	if !s.v3 {
		return
	}
	for i, m := range messages {
		messages[i] = m.Version3(s.inBase64)
	}
}

// receive3 is receive for a client of version 3.
func (s *Session) receive3(data []byte, binary bool) (reason string) {
	if len(data) == 0 {
		return ReasonParseError
	}
	if binary {
		if data[0] != 4 {
			return ReasonParseError
		}
		return s.message(data[1:], true)
	}
	switch data[0] {
	case '4':
		return s.message(data[1:], false)
	case '2':
		s.ping()
		return ""
	case '1':
		return ReasonTransportClose
	case '3':
		return ReasonTransportError // the server's to send
	case '0', '5', '6':
		return ""
	case 'b':
		if len(data) < 2 || data[1] != '4' {
			return ReasonParseError
		}
		raw, err := decodeBase64(data[2:])
		if err != nil {
			return ReasonParseError
		}
		return s.message(raw, true)
	}
	return ReasonParseError
}

var errPayload3 = errors.New("engineio: malformed payload of version 3")

// cutPacket3 takes the first packet of a payload of version 3.
func cutPacket3(body []byte, binaryBody bool) (packet []byte, binary bool, rest []byte, err error) {
	if binaryBody {
		return cutBinary3(body)
	}
	colon := bytes.IndexByte(body[:min(len(body), maxLength3+1)], ':')
	if colon < 1 {
		return nil, false, nil, errPayload3
	}
	n := 0
	for _, c := range body[:colon] {
		if c < '0' || c > '9' {
			return nil, false, nil, errPayload3
		}
		n = 10*n + int(c-'0')
	}
	body = body[colon+1:]
	end := 0
	for n > 0 {
		r, size := utf8.DecodeRune(body[end:])
		if size == 0 || r >= 0x10000 && n < 2 {
			return nil, false, nil, errPayload3
		}
		if r >= 0x10000 {
			n--
		}
		n--
		end += size
	}
	return body[:end], false, body[end:], nil
}

// maxLength3 is how many digits the length of a packet has at most: more than
// any body.
const maxLength3 = 9

// cutBinary3 takes the first packet of a binary payload: whether it is binary,
// the digits of its length, a byte 255.
func cutBinary3(body []byte) (packet []byte, binary bool, rest []byte, err error) {
	if body[0] > 1 {
		return nil, false, nil, errPayload3
	}
	n, i := 0, 1
	for ; i < len(body) && body[i] != 0xff; i++ {
		if body[i] > 9 || i > maxLength3 {
			return nil, false, nil, errPayload3
		}
		n = 10*n + int(body[i])
	}
	if i == 1 || i == len(body) || n > len(body)-i-1 {
		return nil, false, nil, errPayload3
	}
	end := i + 1 + n
	return body[i+1 : end], body[0] == 1, body[end:], nil
}

// receivePayload3 takes all packets of a body. A reason ends the session.
func (s *Session) receivePayload3(body []byte, binaryBody bool) (reason string) {
	if len(body) == 0 {
		return ReasonParseError
	}
	for len(body) > 0 {
		packet, binary, rest, err := cutPacket3(body, binaryBody)
		if err != nil {
			return ReasonParseError
		}
		if len(packet) > 0 || binary {
			if reason := s.receive3(packet, binary); reason != "" {
				return reason
			}
		}
		body = rest
	}
	return ""
}
