package cluster

// Pending returns how many requests are in the table.
func (a *Adapter) Pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.pending)
}

// Known returns how many nodes the requests in the table know by name.
func (a *Adapter) Known() (nodes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.pending {
		r.mu.Lock()
		nodes += len(r.nodes)
		r.mu.Unlock()
	}
	return nodes
}
