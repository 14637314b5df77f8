package engineio

// For the fuzz tests.
var (
	CutPacket3   = cutPacket3
	DecodeBase64 = decodeBase64
	JSONPIndex   = jsonpIndex
	JSONP        = jsonp
	FromForm     = fromForm
)
