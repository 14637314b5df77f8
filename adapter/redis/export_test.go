package redis

import "time"

// WithTimes sets how long a room takes the channel of all after its members
// were changed, and after an outage.
func WithTimes(fresh, calm time.Duration) Option {
	return func(c *config) { c.fresh, c.calm = fresh, calm }
}

// PlainURL and SlotOf are tested by themselves.
var (
	PlainURL = plainURL
	SlotOf   = slotOf
)
