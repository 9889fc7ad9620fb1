package upstream

import (
	"testing"

	"sidecar/internal/exchange"
)

// What a choice costs by itself, and when all processors choose at once. The
// record is sealed, and remembers no endpoint: each choice is the first one.
func BenchmarkChoose(b *testing.B) {
	all := choices()
	for _, name := range []string{"1", "3", "3/leastRequest", "100", "100/leastRequest"} {
		u := to(b, all[name].change, all[name].urls...)
		once := func() func() {
			r := request("GET", "/", "").Request
			exchange.From(r.Context()).Seal()
			return func() {
				if _, err := u.choose(r); err != nil {
					b.Error(err)
				}
			}
		}
		b.Run(name, func(b *testing.B) {
			choose := once()
			b.ReportAllocs()
			for b.Loop() {
				choose()
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(2)
			b.RunParallel(func(pb *testing.PB) {
				for choose := once(); pb.Next(); {
					choose()
				}
			})
		})
	}
}
