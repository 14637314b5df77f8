// Package parser is the contract of a parser of Socket.IO packets, for
// programs that replace the default one with server.WithParser. Clients must
// use the counterpart: the option "parser" of socket.io-client.
//
// The package server/parser/msgpack has one that is ready.
package parser

// Type is the type of a packet.
type Type uint8

// The types of packets (Socket.IO protocol, version 5), with their numbers. An
// Event or Ack with attachments stands for the two binary types.
const (
	Connect Type = iota
	Disconnect
	Event
	Ack
	ConnectError
)

// Packet is one Socket.IO packet.
type Packet struct {
	Type      Type
	Namespace string // with its leading slash

	// ID is the acknowledgement id of an Event that asks for an answer, or of
	// an Ack; it is valid if HasID is set.
	ID    uint64
	HasID bool

	// Data is the payload as JSON: for Event and Ack an array, which begins
	// with the name of an Event; for Connect and ConnectError an object, or
	// nil. A binary argument stands in it as {"_placeholder":true,"num":N} and
	// its bytes in Attachments[N]; without attachments such an object is
	// plain data.
	Data        []byte
	Attachments [][]byte
}

// Message is one message of Engine.IO, the form in which packets travel.
type Message struct {
	Data   []byte
	Binary bool // else it is text, in UTF-8
}

// A Parser turns packets into messages and back. Its methods may be called
// concurrently. A panic in it ends the connection, or drops the packet, that
// it concerns.
type Parser interface {
	// Encode returns the messages of a packet: at least one, of which only the
	// first may be text. They are sent without any other between them. Encode
	// does not change the packet or keep it; the server owns the messages. An
	// event for many clients is encoded once: if that fails, the error goes to
	// the log and the error handler, as Emit has no one client to tell of.
	Encode(*Packet) ([]Message, error)

	// NewDecoder returns the decoder for the messages of one client.
	// maxAttachments is that of server.WithMaxAttachments: the server refuses
	// packets with more, so that a decoder need not gather them.
	NewDecoder(maxAttachments int) Decoder
}

// A Decoder puts the packets of one client together. Its methods are called
// one at a time.
type Decoder interface {
	// Add takes the next message and returns the packet that it completes, or
	// nil if there is more to come. The message is valid until Add returns;
	// the server owns the packet, and checks it. An error ends the connection
	// with the reason "parse error".
	Add(Message) (*Packet, error)
}
