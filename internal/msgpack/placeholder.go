package msgpack

import "github.com/roomspan/roomspan/adapter"

// placeholder matches {"_placeholder":true,"num":N} at i, in either order of
// the keys and with any white space, and nothing else.
func (e *encoder) placeholder(i int) (num uint64, next int, ok bool) {
	var seenFlag, seenNum bool
	for range 2 {
		i = e.space(i + 1)
		switch {
		case !seenFlag && e.has(i, `"_placeholder"`):
			seenFlag = true
			if i, ok = e.colon(i + len(`"_placeholder"`)); !ok || !e.has(i, "true") {
				return 0, 0, false
			}
			i += len("true")
		case !seenNum && e.has(i, `"num"`):
			seenNum = true
			if i, ok = e.colon(i + len(`"num"`)); !ok {
				return 0, 0, false
			}
			if num, i, ok = e.index(i); !ok {
				return 0, 0, false
			}
		default:
			return 0, 0, false
		}
		i = e.space(i)
		if i >= len(e.src) {
			return 0, 0, false
		}
		if last := seenFlag && seenNum; last && e.src[i] != '}' || !last && e.src[i] != ',' {
			return 0, 0, false
		}
	}
	return num, i + 1, true
}

func (e *encoder) has(i int, text string) bool {
	return len(e.src)-i >= len(text) && string(e.src[i:i+len(text)]) == text
}

// colon passes over the colon between a key and its value.
func (e *encoder) colon(i int) (int, bool) {
	i = e.space(i)
	if i >= len(e.src) || e.src[i] != ':' {
		return i, false
	}
	return e.space(i + 1), true
}

// index parses the number of an attachment.
func (e *encoder) index(i int) (num uint64, next int, ok bool) {
	start := i
	for ; i < len(e.src) && e.src[i] >= '0' && e.src[i] <= '9'; i++ {
		num = num*10 + uint64(e.src[i]-'0')
	}
	return num, i, i > start && i-start <= 9
}

// AppendFilled appends the arguments of p, a JSON array, with what fill
// appends in place of each placeholder of an attachment. One that has none
// stays as it is.
func AppendFilled(dst []byte, p *adapter.Packet, fill func(dst, attachment []byte) []byte) []byte {
	e := encoder{src: p.Args}
	done := 0 // has been copied or replaced
	for i := 0; i < len(e.src); {
		switch e.src[i] {
		case '"':
			end, _, _ := e.stringEnd(i + 1)
			i = end + 1
			continue
		case '{':
			if num, next, ok := e.placeholder(i); ok && num < uint64(len(p.Attachments)) {
				dst = fill(append(dst, e.src[done:i]...), p.Attachments[num])
				i, done = next, next
				continue
			}
		}
		i++
	}
	return append(dst, e.src[done:]...)
}
