package breaker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sidecar/internal/exchange"
)

// Endpoints holds a State for each endpoint of an upstream. A State is made
// when its endpoint is first asked about. It outlives its endpoint by
// forgetAfter, since they come and go with the answers of a DNS server; beyond
// maxEndpoints none is remembered. Endpoints survive reloads and are safe for
// concurrent use.
type Endpoints struct {
	name   string
	config Config
	random func() float64
	tell   func(exchange.Event) error

	turn atomic.Uint64 // whose an outcome without an endpoint is

	mu    sync.RWMutex // guards all below
	all   map[string]*known
	swept time.Time // when forget last looked
}

const (
	forgetAfter  = 10 * time.Minute
	maxEndpoints = 1000
	sweepEvery   = time.Second
)

// known is what is remembered of an endpoint.
type known struct {
	state *State
	gone  time.Time // when it was first missed; zero while it is there
}

// NewEndpoints returns Endpoints without any. The State of an endpoint is
// called name/HOST:PORT, as in "standard@orders/10.0.0.1:3000"; all else is as
// in NewState.
func NewEndpoints(name string, c Config, random func() float64, tell func(exchange.Event) error) *Endpoints {
	return &Endpoints{name: name, config: c, random: random, tell: tell, all: map[string]*known{}}
}

// States returns the breakers of hosts, which are the endpoints there are.
func (es *Endpoints) States(hosts []string) []*State {
	all := make([]*State, 0, len(hosts))
	for _, host := range hosts {
		all = append(all, es.of(host, hosts))
	}
	es.mu.Lock()
	defer es.mu.Unlock()
	es.forget(hosts)
	return all
}

// of returns the State of host. hosts are the endpoints there are.
func (es *Endpoints) of(host string, hosts []string) *State {
	if s := es.have(host); s != nil {
		return s
	}
	es.mu.Lock()
	defer es.mu.Unlock()
	if k, ok := es.all[host]; ok {
		return k.state
	}
	es.forget(hosts)
	s := NewState(es.name+"/"+host, es.config, es.random, es.tell)
	if len(es.all) < maxEndpoints {
		es.all[host] = &known{state: s}
	}
	return s // else it lasts as long as the call, and stops none
}

func (es *Endpoints) have(host string) *State {
	es.mu.RLock()
	defer es.mu.RUnlock()
	if k, ok := es.all[host]; ok {
		return k.state
	}
	return nil
}

// forget lets go of what is gone for long and, where there is no room for one
// more, of all that is gone. es.mu is held.
func (es *Endpoints) forget(hosts []string) {
	now, full := time.Now(), len(es.all) >= maxEndpoints
	if now.Sub(es.swept) < sweepEvery {
		return // where there are more endpoints than room, each call comes here
	}
	es.swept = now
	for host, k := range es.all {
		switch {
		case slices.Contains(hosts, host):
			k.gone = time.Time{}
		case k.gone.IsZero() && !full:
			k.gone = now
		case full, now.Sub(k.gone) >= forgetAfter:
			delete(es.all, host)
		}
	}
}
