package admin

import "testing"

func TestWhatHealthIsToldToAsk(t *testing.T) {
	h := newShop(t)
	h.health.Started()
	why := ""
	h.health.Ask(func() string { return why })
	telemetry := Telemetry(h.health, noMetrics)
	wantHealth(t, telemetry, Healthy, 200, 200, nil)
	why = "the audit file cannot be written: it is full"
	wantHealth(t, telemetry, Degraded, 200, 200, []string{why})
	why = ""
	wantHealth(t, telemetry, Healthy, 200, 200, nil)
}
