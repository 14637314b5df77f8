package server

import "github.com/roomspan/roomspan/server/internal/engineio"

// A Reason is why a socket was disconnected, in the words of Socket.IO on
// Node.
type Reason string

// The reasons of a disconnection. All are those of Socket.IO on Node but
// ReasonSlowClient and ReasonRateLimit, for which Node has no bounds.
const (
	ReasonTransportError     Reason = engineio.ReasonTransportError // the transport broke, or the client broke the protocol
	ReasonTransportClose     Reason = engineio.ReasonTransportClose // the client went away
	ReasonForcedClose        Reason = engineio.ReasonForcedClose    // the session was closed while it changed transports
	ReasonPingTimeout        Reason = engineio.ReasonPingTimeout    // no pong within PingTimeout
	ReasonParseError         Reason = engineio.ReasonParseError     // a packet that is none
	ReasonSlowClient         Reason = engineio.ReasonSlowClient     // the client did not read what was sent
	ReasonRateLimit          Reason = "rate limit"                  // the client sent more than WithRateLimit allows
	ReasonServerShuttingDown Reason = "server shutting down"
	ReasonForcedServerClose  Reason = "forced server close" // a packet out of place
	ReasonClientDisconnect   Reason = "client namespace disconnect"
	ReasonServerDisconnect   Reason = "server namespace disconnect"
)
