package metrics

import "github.com/prometheus/client_golang/prometheus"

// StoreLevel is how asking a store of rate limits goes. What it counts only
// ever grows, until the policy makes another store of it.
type StoreLevel struct {
	Name                      string
	Available                 bool
	Answered, Failed, Skipped uint64
	Took                      map[float64]uint64 // calls by the seconds that they took at most
	TookSum                   float64
}

var (
	storeAvailable = level("store_available",
		"Whether the store of rate limits is asked: 0 while it fails, and what onStoreFailure says holds.", "store")
	storeCalls = level("store_calls_total",
		"Calls to the store of rate limits: answered, failed, or skipped since it was failing.", "store", "result")
	storeTook = level("store_call_duration_seconds",
		"How long calls to the store of rate limits took, those that failed included.", "store")
)

func (s StoreLevel) tell(ch chan<- prometheus.Metric) {
	is(ch, storeAvailable, truth(s.Available), s.Name)
	counted(ch, storeCalls, s.Answered, s.Name, "answered")
	counted(ch, storeCalls, s.Failed, s.Name, "failed")
	counted(ch, storeCalls, s.Skipped, s.Name, "skipped")
	ch <- prometheus.MustNewConstHistogram(storeTook, s.Answered+s.Failed, s.TookSum, s.Took, s.Name)
}
