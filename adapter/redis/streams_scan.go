package redis

import (
	"encoding/json"
	"strings"

	"github.com/roomspan/roomspan/adapter"
)

// unwanted reports whether an entry is a broadcast that no socket of this node
// is selected by, without a look at its arguments. For one that is not as it
// should be it reports false.
func (n *streamNamespace) unwanted(e *streamItem) bool {
	if e.kind != "3" {
		return false
	}
	opts, ask, ok := entryOpts(e.data)
	if !ok || ask {
		return false
	}
	var in struct {
		Rooms []text `json:"rooms"`
	}
	if !strings.HasPrefix(opts, `{"rooms":[],`) && json.Unmarshal([]byte(opts), &in) != nil {
		return false
	}
	return !n.node.Wanted(adapter.Selector{Rooms: texts(in.Rooms)})
}

// entryOpts returns the value of opts in the JSON data of a broadcast, and
// whether there is a request id. Of JSON that is not valid it may return
// anything.
func entryOpts(data string) (opts string, ask, ok bool) {
	if data == "" || data[0] != '{' {
		return "", false, false
	}
	for i := skipSpace(data, 1); i < len(data) && data[i] == '"'; {
		keyEnd := skipString(data, i)
		colon := skipSpace(data, keyEnd)
		if colon >= len(data) || data[colon] != ':' {
			return "", false, false
		}
		value := skipSpace(data, colon+1)
		end := skipJSON(data, value)
		switch data[i:keyEnd] {
		case `"opts"`:
			opts = data[value:end]
		case `"requestId"`:
			ask = true
		}
		i = skipSpace(data, end)
		if i >= len(data) || data[i] != ',' {
			return opts, ask, opts != "" && i == len(data)-1 && data[i] == '}'
		}
		i = skipSpace(data, i+1)
	}
	return "", false, false
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the position after the string that begins at i.
func skipString(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// skipJSON returns the position after the value that begins at i.
func skipJSON(s string, i int) int {
	for depth := 0; i < len(s); {
		switch s[i] {
		case '"':
			i = skipString(s, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		default:
			i++
			if depth > 0 || i < len(s) && !strings.ContainsRune(",}] \n\t\r", rune(s[i])) {
				continue
			}
		}
		if depth <= 0 {
			return i
		}
	}
	return len(s)
}
