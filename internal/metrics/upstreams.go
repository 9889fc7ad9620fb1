package metrics

import "github.com/prometheus/client_golang/prometheus"

// UpstreamLevel is how the endpoints of an upstream are.
type UpstreamLevel struct {
	Name      string
	Panic     bool // none works: all are called
	Endpoints []EndpointLevel
}

// EndpointLevel is how an endpoint is. Endpoints of an upstream are each there
// once.
type EndpointLevel struct {
	Endpoint string // host:port
	State    string // one of endpointStates
	InFlight int

	// Since it is there:

	Ejections    uint64
	ChecksPassed uint64
	ChecksFailed uint64
}

var endpointStates = []string{"healthy", "ramping", "unhealthy", "ejected", "draining"}

var (
	upstreamPanic = level("upstream_panic",
		"Whether no endpoint of the upstream works, so that all are called.", "upstream")
	endpointState = level("upstream_endpoint_state",
		"Whether the endpoint is in the state: 1 for one state, 0 for the others.", "upstream", "endpoint", "state")
	endpointInFlight = level("upstream_endpoint_requests_in_flight",
		"Calls to the endpoint that have not ended; one ends with the body of its response.", "upstream", "endpoint")
	endpointEjections = level("upstream_endpoint_ejections_total",
		"How often the endpoint was ejected since it is there.", "upstream", "endpoint")
	endpointChecks = level("upstream_endpoint_health_checks_total",
		"Health checks of the endpoint since it is there: passed or failed. Only where there are any.", "upstream", "endpoint", "result")
)

func describeUpstreams(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{upstreamPanic, endpointState, endpointInFlight, endpointEjections, endpointChecks} {
		ch <- d
	}
}

func tellUpstreams(ch chan<- prometheus.Metric, upstreams []UpstreamLevel) {
	for _, u := range upstreams {
		is(ch, upstreamPanic, truth(u.Panic), u.Name)
		for _, e := range u.Endpoints {
			for _, state := range endpointStates {
				is(ch, endpointState, truth(state == e.State), u.Name, e.Endpoint, state)
			}
			is(ch, endpointInFlight, float64(e.InFlight), u.Name, e.Endpoint)
			counted(ch, endpointEjections, e.Ejections, u.Name, e.Endpoint)
			if e.ChecksPassed+e.ChecksFailed > 0 {
				counted(ch, endpointChecks, e.ChecksPassed, u.Name, e.Endpoint, "passed")
				counted(ch, endpointChecks, e.ChecksFailed, u.Name, e.Endpoint, "failed")
			}
		}
	}
}
