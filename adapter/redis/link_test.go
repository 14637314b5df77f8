package redis

import "testing"

// TestBackoff holds that the pauses grow to their longest and no further, and
// begin anew.
func TestBackoff(t *testing.T) {
	var b backoff
	for range 2 {
		most := minBackoff
		for i := range 20 {
			if pause := b.next(); pause > most || pause <= most/2 {
				t.Errorf("pause %d is %v, want more than half of %v", i, pause, most)
			}
			most = min(2*most, maxBackoff)
		}
		b.reset()
	}
}
