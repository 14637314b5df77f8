package adapter

import (
	"context"
	"sync"
	"sync/atomic"
)

// Memory returns the back-end of a server that is alone: its adapters are
// [Local], and a [Recoverer] each. It is always ready and connected, and
// counts one server.
func Memory() Backend {
	return &memory{open: make(map[*memoryAdapter]struct{})}
}

type memory struct {
	mu     sync.Mutex
	closed bool
	open   map[*memoryAdapter]struct{}

	packetsTrimmed, sessionsTrimmed atomic.Uint64
}

// memoryAdapter is a Local that the back-end forgets when it is closed. Its
// methods for recovery are in memory_recovery.go.
type memoryAdapter struct {
	*Local
	backend *memory
}

func (m *memory) Start(Node) error { return nil }

func (m *memory) Open(host Host) (Adapter, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	a := &memoryAdapter{Local: NewLocal(host), backend: m}
	if h, ok := host.(RecoveryHost); ok && h.Recovery() != (Recovery{}) {
		a.kept = newRecoveryLog(h.Recovery(), m)
	}
	m.open[a] = struct{}{}
	return a, nil
}

func (m *memory) Ready(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	return nil
}

func (m *memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{
		Connected:       !m.closed,
		PacketsTrimmed:  m.packetsTrimmed.Load(),
		SessionsTrimmed: m.sessionsTrimmed.Load(),
	}
}

func (m *memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for a := range m.open {
		a.close()
	}
	m.open = nil
	return nil
}

func (a *memoryAdapter) Close() error {
	a.backend.mu.Lock()
	defer a.backend.mu.Unlock()
	delete(a.backend.open, a)
	a.close()
	return nil
}

func (a *memoryAdapter) close() {
	_ = a.Local.Close() // never fails
	if a.kept != nil {
		a.kept.close()
	}
}
