package metrics

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEndpointsAreToldAsTheyAre(t *testing.T) {
	m := New(BuildInfo{})
	m.Levels(func() Levels {
		return Levels{Upstreams: []UpstreamLevel{{
			Name: "orders", Panic: true, Endpoints: []EndpointLevel{
				{Endpoint: "10.0.0.1:80", State: "ejected", InFlight: 3, Ejections: 2},
				{Endpoint: "[::1]:80", State: "healthy", ChecksPassed: 7, ChecksFailed: 1},
			},
		}}}
	})
	names := []string{
		"upstream_panic", "upstream_endpoint_state", "upstream_endpoint_requests_in_flight",
		"upstream_endpoint_ejections_total", "upstream_endpoint_health_checks_total",
	}
	want := []string{
		`upstream_endpoint_ejections_total{endpoint="10.0.0.1:80",upstream="orders"} 2`,
		`upstream_endpoint_ejections_total{endpoint="[::1]:80",upstream="orders"} 0`,
		`upstream_endpoint_health_checks_total{endpoint="[::1]:80",result="failed",upstream="orders"} 1`,
		`upstream_endpoint_health_checks_total{endpoint="[::1]:80",result="passed",upstream="orders"} 7`,
		`upstream_endpoint_requests_in_flight{endpoint="10.0.0.1:80",upstream="orders"} 3`,
		`upstream_endpoint_requests_in_flight{endpoint="[::1]:80",upstream="orders"} 0`,
		`upstream_endpoint_state{endpoint="10.0.0.1:80",state="draining",upstream="orders"} 0`,
		`upstream_endpoint_state{endpoint="10.0.0.1:80",state="ejected",upstream="orders"} 1`,
		`upstream_endpoint_state{endpoint="10.0.0.1:80",state="healthy",upstream="orders"} 0`,
		`upstream_endpoint_state{endpoint="10.0.0.1:80",state="ramping",upstream="orders"} 0`,
		`upstream_endpoint_state{endpoint="10.0.0.1:80",state="unhealthy",upstream="orders"} 0`,
		`upstream_endpoint_state{endpoint="[::1]:80",state="draining",upstream="orders"} 0`,
		`upstream_endpoint_state{endpoint="[::1]:80",state="ejected",upstream="orders"} 0`,
		`upstream_endpoint_state{endpoint="[::1]:80",state="healthy",upstream="orders"} 1`,
		`upstream_endpoint_state{endpoint="[::1]:80",state="ramping",upstream="orders"} 0`,
		`upstream_endpoint_state{endpoint="[::1]:80",state="unhealthy",upstream="orders"} 0`,
		`upstream_panic{upstream="orders"} 1`,
	}
	if diff := cmp.Diff(want, scrape(t, m, names...)); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
}
