package pysocketio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// pickleStart begins a pickle of protocol 2 and later, and no JSON.
const pickleStart = "\x80"

var (
	// errPickle is the error for a pickled message without WithPickle.
	errPickle = errors.New("pysocketio: pickled message of python-socketio up to 5.13, which WithPickle would read")

	// errUnpicklable is the error for a pickle that is not plain data, or
	// beyond the bounds.
	errUnpicklable = fmt.Errorf("%w: pickle", errFormat)
)

// maxPickled bounds the values of a message, and how many of them it can refer
// to again. A value takes one byte of the message, and far more in memory.
const maxPickled = 1 << 20

// The opcodes that plain data is made of, in protocols 2 to 5. All others are
// refused: of these are those that name a class or a function, make an object,
// or call something.
const (
	opProto           = '\x80'
	opFrame           = '\x95'
	opStop            = '.'
	opMark            = '('
	opMemoize         = '\x94'
	opBinPut          = 'q'
	opLongBinPut      = 'r'
	opBinGet          = 'h'
	opLongBinGet      = 'j'
	opNone            = 'N'
	opTrue            = '\x88'
	opFalse           = '\x89'
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opBinInt2         = 'M'
	opLong1           = '\x8a'
	opBinFloat        = 'G'
	opShortBinUnicode = '\x8c'
	opBinUnicode      = 'X'
	opBinUnicode8     = '\x8d'
	opShortBinBytes   = 'C'
	opBinBytes        = 'B'
	opBinBytes8       = '\x8e'
	opByteArray8      = '\x96'
	opEmptyList       = ']'
	opAppend          = 'a'
	opAppends         = 'e'
	opEmptyTuple      = ')'
	opTuple           = 't'
	opTuple1          = '\x85'
	opTuple2          = '\x86'
	opTuple3          = '\x87'
	opEmptyDict       = '}'
	opSetItem         = 's'
	opSetItems        = 'u'
)

// pyList is a list or tuple. It is shared by all places that refer to it.
type pyList struct {
	items []any
	tuple bool
}

// pyDict is a dict: keys and values in turn, in their order.
type pyDict struct{ pairs []any }

// unpickler reads a pickle. A value is nil, a bool, int64, *big.Int, float64,
// string, []byte, *pyList or *pyDict. Strings and bytes are copies.
//
// It is a reader of its own because plain data needs so little: there is
// nothing here that could make anything else.
type unpickler struct {
	rest  []byte
	stack []any
	marks []int // heights of the stack
	memo  []any
}

func unpickle(b []byte) (v any, err error) {
	u := unpickler{rest: b}
	for {
		op, ok := u.take(1)
		if !ok || len(u.stack) > maxPickled || len(u.memo) > maxPickled || len(u.marks) > maxPickled {
			return nil, errUnpicklable
		}
		if op[0] == opStop {
			break
		}
		if !u.step(op[0]) {
			return nil, fmt.Errorf("%w: opcode %q at byte %d", errUnpicklable, op[0], len(b)-len(u.rest)-1)
		}
	}
	if len(u.stack) != 1 || len(u.marks) != 0 || len(u.rest) != 0 {
		return nil, errUnpicklable
	}
	return u.stack[0], nil
}

// take returns the next n bytes.
func (u *unpickler) take(n uint64) ([]byte, bool) {
	if n > uint64(len(u.rest)) {
		return nil, false
	}
	b := u.rest[:n]
	u.rest = u.rest[n:]
	return b, true
}

// number takes an unsigned number of the given width in bytes.
func (u *unpickler) number(width uint64) (uint64, bool) {
	b, ok := u.take(width)
	if !ok {
		return 0, false
	}
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:]), true
}

// counted takes bytes whose number stands before them.
func (u *unpickler) counted(width uint64) ([]byte, bool) {
	n, ok := u.number(width)
	if !ok {
		return nil, false
	}
	return u.take(n)
}

func (u *unpickler) push(v any) bool {
	u.stack = append(u.stack, v)
	return true
}

// step carries out an opcode. It reports false for one that is unknown, or
// does not fit.
func (u *unpickler) step(op byte) bool {
	switch op {
	case opProto:
		_, ok := u.take(1)
		return ok
	case opFrame:
		_, ok := u.take(8)
		return ok
	case opMark:
		u.marks = append(u.marks, len(u.stack))
		return true
	case opMemoize, opBinPut, opLongBinPut, opBinGet, opLongBinGet:
		return u.remember(op)
	case opEmptyList:
		return u.push(&pyList{})
	case opEmptyDict:
		return u.push(&pyDict{})
	case opEmptyTuple:
		return u.push(&pyList{tuple: true})
	case opTuple1, opTuple2, opTuple3:
		return u.tuple(len(u.stack) - int(op-opTuple1) - 1)
	case opTuple:
		at, ok := u.mark()
		return ok && u.tuple(at)
	case opAppend:
		return u.extend(len(u.stack) - 1)
	case opSetItem:
		return u.extend(len(u.stack) - 2)
	case opAppends, opSetItems:
		at, ok := u.mark()
		return ok && u.extend(at)
	}
	return u.scalar(op)
}

// scalar pushes a value that holds no others.
func (u *unpickler) scalar(op byte) bool {
	switch op {
	case opNone:
		return u.push(nil)
	case opTrue, opFalse:
		return u.push(op == opTrue)
	case opBinInt1:
		n, ok := u.number(1)
		return ok && u.push(int64(n))
	case opBinInt2:
		n, ok := u.number(2)
		return ok && u.push(int64(n))
	case opBinInt:
		n, ok := u.number(4)
		return ok && u.push(int64(int32(n)))
	case opLong1:
		b, ok := u.counted(1)
		return ok && u.push(twosComplement(b))
	case opBinFloat:
		b, ok := u.take(8)
		return ok && u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	}
	width, isBytes := uint64(0), false
	switch op {
	case opShortBinUnicode:
		width = 1
	case opBinUnicode:
		width = 4
	case opBinUnicode8:
		width = 8
	case opShortBinBytes:
		width, isBytes = 1, true
	case opBinBytes:
		width, isBytes = 4, true
	case opBinBytes8, opByteArray8:
		width, isBytes = 8, true
	default:
		return false
	}
	b, ok := u.counted(width)
	if isBytes {
		return ok && u.push(slices.Clone(b))
	}
	return ok && u.push(string(b))
}

// remember puts the top of the stack into the memo, or fetches from it. Python
// numbers what it puts there one after the other.
func (u *unpickler) remember(op byte) bool {
	index, ok := uint64(len(u.memo)), true
	switch op {
	case opBinPut, opBinGet:
		index, ok = u.number(1)
	case opLongBinPut, opLongBinGet:
		index, ok = u.number(4)
	}
	if !ok {
		return false
	}
	if op == opBinGet || op == opLongBinGet {
		return index < uint64(len(u.memo)) && u.push(u.memo[index])
	}
	if index != uint64(len(u.memo)) || len(u.stack) <= u.floor() {
		return false
	}
	u.memo = append(u.memo, u.stack[len(u.stack)-1])
	return true
}

// floor returns the height of the stack under which nothing is in reach.
func (u *unpickler) floor() int {
	if len(u.marks) == 0 {
		return 0
	}
	return u.marks[len(u.marks)-1]
}

// mark takes the last mark away and returns its height.
func (u *unpickler) mark() (int, bool) {
	if len(u.marks) == 0 {
		return 0, false
	}
	at := u.floor()
	u.marks = u.marks[:len(u.marks)-1]
	return at, true
}

// tuple makes a tuple of the stack from a height on.
func (u *unpickler) tuple(from int) bool {
	if from < u.floor() {
		return false
	}
	items := slices.Clone(u.stack[from:])
	u.stack = u.stack[:from]
	return u.push(&pyList{items, true})
}

// extend adds the stack from a height on to the list or dict below.
func (u *unpickler) extend(from int) bool {
	if from <= u.floor() {
		return false
	}
	items := u.stack[from:]
	switch v := u.stack[from-1].(type) {
	case *pyList:
		if v.tuple {
			return false
		}
		v.items = append(v.items, items...)
	case *pyDict:
		if len(items)%2 != 0 {
			return false
		}
		v.pairs = append(v.pairs, items...)
	default:
		return false
	}
	u.stack = u.stack[:from]
	return true
}

// twosComplement reads a signed number, its lowest byte first.
func twosComplement(b []byte) *big.Int {
	digits := slices.Clone(b)
	slices.Reverse(digits)
	n := new(big.Int).SetBytes(digits)
	if len(digits) > 0 && digits[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(digits))))
	}
	return n
}
