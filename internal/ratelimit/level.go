package ratelimit

import "time"

// level is how much of a limit is left. Times are in nanoseconds.
type level struct {
	remaining int64 // requests that pass at once, or after their turn has come
	wait      int64 // until one passes; 0 if one does
	full      int64 // until all pass again

	// What a service says that has limits of its own: how many in which time. 0
	// in all others, whose limits are those of the policy.
	quota, window int64
}

// seconds rounds up, and to no less than one: a client told 0 comes at once.
func seconds(nanos int64) int64 {
	return max(wholeSeconds(nanos), 1)
}

func wholeSeconds(nanos int64) int64 {
	whole := nanos / int64(time.Second)
	if nanos%int64(time.Second) > 0 {
		whole++
	}
	return whole
}
