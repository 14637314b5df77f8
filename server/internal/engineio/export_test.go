package engineio

// CutPacket3 is cutPacket3, for the fuzz test.
var CutPacket3 = cutPacket3
