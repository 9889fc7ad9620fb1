package exchange

import "testing"

func TestARecordTellsWhoIsAsked(t *testing.T) {
	r := &Record{Upstream: "orders"}
	if r.Asked() != "orders" || r.Diverted() != "" || r.CalledOnce() {
		t.Errorf("at first %q is asked, diverted to %q, for once: %v", r.Asked(), r.Diverted(), r.CalledOnce())
	}
	r.CallOnce()
	r.Divert("backup")
	if r.CalledOnce() {
		t.Error("another upstream is asked for once, since the one before was")
	}
	r.CallOnce()
	r.Seal()
	r.Divert("late")
	if r.Asked() != "backup" || r.Diverted() != "backup" || !r.CalledOnce() {
		t.Errorf("then %q is asked, diverted to %q, for once: %v; want backup, for once", r.Asked(), r.Diverted(), r.CalledOnce())
	}
}
