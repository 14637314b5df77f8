package parser

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxDigits is the length of the longest run of digits that always fits a
// uint64.
const maxDigits = 19

// Decode reads the text of one packet into p. What p held is lost, but for the
// memory of Elements and for a Namespace that comes again. After an error p
// holds nothing of use.
//
// The payload is proved to be JSON in valid UTF-8, of the kind that the type of
// the packet demands: an object or nothing for Connect, nothing for Disconnect,
// an array that begins with a name for Event, an array for Ack, an object or a
// string for ConnectError. In a packet with attachments every placeholder
// refers to one of them.
//
// Every error wraps [ErrParse] and is meant to end the connection.
func (p *Packet) Decode(text []byte, limits Limits) error {
	*p = Packet{Namespace: p.Namespace, Elements: p.Elements[:0]}
	rest, err := p.decodeHeader(text, limits)
	if err != nil {
		return err
	}
	return p.decodePayload(rest, limits)
}

// decodeHeader reads all that stands before the payload and returns the rest.
func (p *Packet) decodeHeader(text []byte, limits Limits) (rest []byte, err error) {
	if len(text) == 0 {
		return nil, errEmpty
	}
	rest = text[1:]
	switch digit := text[0]; {
	case '0' <= digit && digit <= '0'+byte(ConnectError):
		p.Type = Type(digit - '0')
	case digit == '0'+byte(Event)+toBinary, digit == '0'+byte(Ack)+toBinary:
		p.Type = Type(digit - '0' - toBinary)
		if p.Attachments, rest, err = attachments(rest, limits.maxAttachments()); err != nil {
			return nil, err
		}
	default:
		return nil, errType
	}
	if rest, err = p.decodeNamespace(rest); err != nil {
		return nil, err
	}
	id, digits := leadingUint(rest)
	switch {
	case digits > maxDigits:
		return nil, errID
	case digits > 0 && p.Type != Event && p.Type != Ack:
		return nil, errUnexpectedID
	case digits == 0 && p.Type == Ack:
		return nil, errMissingID
	}
	p.ID, p.HasID = id, digits > 0
	return rest[digits:], nil
}

// attachments reads the number of attachments and the hyphen behind it.
func attachments(text []byte, most int) (n int, rest []byte, err error) {
	count, digits := leadingUint(text)
	switch {
	case digits == 0 || digits > maxDigits || digits == len(text) || text[digits] != '-':
		return 0, nil, errAttachments
	case count == 0:
		return 0, nil, errNoneAttached
	case count > uint64(most):
		return 0, nil, ErrTooManyAttachments
	}
	return int(count), text[digits+1:], nil
}

// decodeNamespace reads the namespace, if one is there, with the comma behind
// it. The comma may be missing at the end of the text, as in the packets of
// some clients. A query string, which old clients add, has no meaning here.
func (p *Packet) decodeNamespace(text []byte) (rest []byte, err error) {
	if len(text) == 0 || text[0] != '/' {
		p.Namespace = "/"
		return text, nil
	}
	namespace := text
	if comma := bytes.IndexByte(text, ','); comma >= 0 {
		namespace, rest = text[:comma], text[comma+1:]
	}
	if p.Namespace == string(namespace) { // most packets name the one before them
		return rest, nil
	}
	if query := bytes.IndexByte(namespace, '?'); query >= 0 {
		p.Query = string(namespace[query+1:])
		namespace = namespace[:query]
	}
	if !utf8.Valid(namespace) {
		return nil, errNamespace
	}
	p.Namespace = string(namespace)
	return rest, nil
}

// leadingUint reads the ASCII digits at the start of text and returns their
// value and number. It stops after more than maxDigits, with no valid value.
func leadingUint(text []byte) (value uint64, digits int) {
	for digits < len(text) && digits <= maxDigits {
		d := text[digits] - '0'
		if d > 9 {
			break
		}
		value = value*10 + uint64(d)
		digits++
	}
	return value, digits
}

// Check holds a packet that was not decoded here against the rules of
// [Packet.Decode], and finds its parts. Of Attachments it believes the number.
func (p *Packet) Check(limits Limits) error {
	switch {
	case p.Type > ConnectError:
		return errType
	case p.Attachments > limits.maxAttachments():
		return ErrTooManyAttachments
	case p.Attachments > 0 && p.Type != Event && p.Type != Ack:
		return errPayload
	case !strings.HasPrefix(p.Namespace, "/") || !utf8.ValidString(p.Namespace):
		return errNamespace
	case p.HasID && p.Type != Event && p.Type != Ack:
		return errUnexpectedID
	case !p.HasID && p.Type == Ack:
		return errMissingID
	}
	return p.decodePayload(p.Data, limits)
}

// decodePayload checks the payload and finds its parts. A payload begins with
// its first byte: a blank there would be the digit 0 to some decoders.
func (p *Packet) decodePayload(data []byte, limits Limits) (err error) {
	var first byte
	if len(data) > 0 {
		first = data[0]
	}
	ok := false
	switch p.Type {
	case Connect:
		ok = len(data) == 0 || first == '{'
	case Disconnect:
		ok = len(data) == 0
	case Event, Ack:
		ok = first == '['
	case ConnectError:
		ok = first == '{' || first == '"'
	}
	if !ok {
		return errPayload
	}
	if len(data) == 0 {
		return nil
	}
	p.Data = data
	p.Elements, err = scan(data, p.Attachments, limits, p.Elements)
	if err != nil || p.Type != Event {
		return err
	}
	if len(p.Elements) == 0 {
		return errName
	}
	p.Name, err = EventName(p.Elements[0].Of(data))
	return err
}

// EventName returns the name of an event from the first element of its array,
// which must be valid JSON. The name aliases the element, unless that has
// escape sequences. It is an error if the element is neither a string nor a
// number, or if the name is reserved.
func EventName(element []byte) ([]byte, error) {
	if len(element) == 0 {
		return nil, errName
	}
	switch c := element[0]; {
	case c == '-' || '0' <= c && c <= '9':
		return element, nil
	case c != '"':
		return nil, errName
	}
	name := element[1 : len(element)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = appendUnquoted(nil, name)
	}
	if len(name) <= maxReserved && Reserved(string(name)) {
		return nil, errReserved
	}
	return name, nil
}

// maxReserved is the length of the longest reserved name.
const maxReserved = len("removeListener")

// Reserved reports whether an event must not have this name, in either
// direction, because Socket.IO uses it for what happens to a socket itself.
func Reserved(name string) bool {
	switch name {
	case "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener":
		return true
	}
	return false
}
