package pysocketio

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/roomspan/roomspan/adapter"
	"github.com/roomspan/roomspan/adapter/cluster"
)

// ownMessage is what nodes of Roomspan tell each other on their own channel.
// from stands first, by which a node knows its own.
type ownMessage struct {
	From        string               `json:"from"`
	Type        string               `json:"type"`
	Namespace   string               `json:"nsp"`
	To          string               `json:"to,omitempty"`
	ID          string               `json:"id,omitempty"`
	Rooms       []string             `json:"rooms,omitempty"`
	Except      []string             `json:"except,omitempty"`
	Volatile    bool                 `json:"volatile,omitempty"`
	NoCompress  bool                 `json:"nocompress,omitempty"`
	Timeout     int64                `json:"timeout,omitempty"` // milliseconds
	Args        json.RawMessage      `json:"args,omitempty"`
	Attachments [][]byte             `json:"attachments,omitempty"`
	Names       []string             `json:"names,omitempty"`
	Sockets     []adapter.SocketInfo `json:"sockets,omitempty"`
	Count       int                  `json:"count,omitempty"`
	Close       bool                 `json:"close,omitempty"`
}

// ownTypes are the names of messages on the own channel.
var ownTypes = map[cluster.Type]string{
	cluster.Broadcast:            "broadcast",
	cluster.BroadcastCount:       "count",
	cluster.BroadcastAnswer:      "answer",
	cluster.AddSockets:           "join",
	cluster.DelSockets:           "leave",
	cluster.DisconnectSockets:    "disconnect",
	cluster.FetchSockets:         "fetch",
	cluster.FetchAnswer:          "sockets",
	cluster.ListRooms:            "list",
	cluster.ListRoomsAnswer:      "rooms",
	cluster.ServerSideEmit:       "event",
	cluster.ServerSideEmitAnswer: "event answer",
}

var ownTypesByName = func() map[string]cluster.Type {
	byName := make(map[string]cluster.Type, len(ownTypes))
	for t, name := range ownTypes {
		byName[name] = t
	}
	return byName
}()

// maxTimeout bounds what a peer may ask this node to remember.
const maxTimeout = 24 * time.Hour

func writeOwn(nsp string, m *cluster.Message) ([]byte, error) {
	own := ownMessage{
		From: m.Sender, Type: ownTypes[m.Type], Namespace: nsp, To: m.To, ID: m.RequestID,
		Rooms: m.Selector.Rooms, Except: m.Selector.Except,
		Volatile: m.Flags.Volatile, NoCompress: m.Flags.NoCompress,
		Timeout: m.Timeout.Milliseconds(), Names: m.Rooms, Sockets: m.Sockets, Count: m.Count, Close: m.CloseConn,
	}
	if m.Packet != nil {
		own.Args, own.Attachments = m.Packet.Args, m.Packet.Attachments
	}
	return json.Marshal(own)
}

func readOwn(text []byte) (m *cluster.Message, nsp string, err error) {
	var own ownMessage
	if err := json.Unmarshal(text, &own); err != nil {
		return nil, "", fmt.Errorf("%w: %v", errFormat, err)
	}
	kind, ok := ownTypesByName[own.Type]
	if !ok || own.Namespace == "" || own.From == "" {
		return nil, "", fmt.Errorf("%w: type %.20q", errFormat, own.Type)
	}
	timeout := time.Duration(min(max(own.Timeout, 0), int64(maxTimeout/time.Millisecond))) * time.Millisecond
	m = &cluster.Message{
		Type: kind, Sender: own.From, To: own.To, RequestID: own.ID,
		Selector: adapter.Selector{Rooms: own.Rooms, Except: own.Except},
		Flags:    adapter.Flags{Volatile: own.Volatile, NoCompress: own.NoCompress},
		Timeout:  timeout, Rooms: own.Names, Sockets: own.Sockets, Count: own.Count, CloseConn: own.Close,
	}
	if own.Args == nil {
		return m, own.Namespace, nil
	}
	if own.Args[0] != '[' {
		return nil, "", fmt.Errorf("%w: args is no list", errFormat)
	}
	if len(own.Attachments) > 0 {
		if err := checkPlaceholders(own.Args, len(own.Attachments)); err != nil {
			return nil, "", err
		}
	}
	if kind == cluster.Broadcast || kind == cluster.ServerSideEmit {
		if _, _, ok := splitEvent(own.Args); !ok {
			return nil, "", fmt.Errorf("%w: event without name", errFormat)
		}
	}
	m.Packet = &adapter.Packet{Args: own.Args, Attachments: own.Attachments}
	return m, own.Namespace, nil
}
