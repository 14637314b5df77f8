package msgpack

import (
	"strconv"
	"time"
)

// maxDateSeconds is the largest distance from 1970 that a Date can have.
const maxDateSeconds = 8_640_000_000_000

// appendDate writes a point in time as Date.prototype.toJSON does: with
// milliseconds, six digits and a sign for years beyond four, and null for
// times that a Date cannot hold.
func appendDate(dst []byte, sec int64, nsec uint32) []byte {
	if sec < -maxDateSeconds || sec > maxDateSeconds || sec == maxDateSeconds && nsec >= 1e6 {
		return append(dst, "null"...)
	}
	t := time.Unix(sec, int64(nsec)).UTC()
	dst = append(dst, '"')
	year := t.Year()
	switch {
	case year < 0:
		dst = appendPadded(append(dst, '-'), -year, 6)
	case year > 9999:
		dst = appendPadded(append(dst, '+'), year, 6)
	default:
		dst = appendPadded(dst, year, 4)
	}
	dst = t.AppendFormat(dst, "-01-02T15:04:05.000Z")
	return append(dst, '"')
}

func appendPadded(dst []byte, n, width int) []byte {
	digits := strconv.Itoa(n)
	for range width - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}
