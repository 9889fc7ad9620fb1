package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// lookupTimeout bounds one look-up of a name.
	lookupTimeout = 5 * time.Second
	// maxAddresses bounds what a name can make of itself: connections, health
	// checks and series of metrics.
	maxAddresses = 256
)

// isName reports whether host is one that somebody has to be asked about.
func isName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host != "localhost" && !strings.HasSuffix(host, ".localhost")
}

// lookup asks as every new connection would, so that the order is the system's.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// follow looks the name of p up, again and again, until ctx ends.
func (u *Upstream) follow(ctx context.Context, p *place) {
	for {
		err := u.resolve(ctx, p)
		wait := u.config.DNS.Refresh
		if err != nil {
			wait = min(wait, lookupTimeout)
		}
		if !sleep(ctx, u.jittered(wait)) {
			return
		}
	}
}

// jittered returns d, give or take a tenth: replicas that began together do not
// ask together.
func (u *Upstream) jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (.9 + .2*u.random()))
}

// sleep returns after d, or when ctx ends, and reports whether it did not.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// errNoAddress: an answer without one is as good as none.
var errNoAddress = errors.New("the name has no address")

// resolve looks the name of p up once.
func (u *Upstream) resolve(ctx context.Context, p *place) error {
	bounded, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	answer, err := u.lookup(bounded, p.name)
	if ctx.Err() != nil {
		return nil // nobody wants to know any more
	}
	labels := p.labels(answer)
	if err == nil && len(labels) == 0 {
		err = errNoAddress
	}
	u.change(func(now time.Time) bool {
		if err != nil {
			u.unresolved(p, err)
			return false
		}
		return u.resolved(p, labels, now)
	})
	return err
}

// labels returns what the endpoints of p are called by that answer: each of its
// addresses, of the family that the system has put first (RFC 6724), sorted. Each
// of the other would be one more way to the same place, or a way that does not
// exist. One address of each family is one host, and p stays what it is: each new
// connection finds out which way leads there, since the host may listen on one of
// them only.
func (p *place) labels(answer []netip.Addr) []string {
	first, other := usable(answer)
	if len(first) == 1 && len(other) == 1 {
		return []string{p.label}
	}
	var labels []string
	for _, a := range first[:min(len(first), maxAddresses)] {
		labels = append(labels, netip.AddrPortFrom(a, p.port()).String())
	}
	return labels
}

// usable returns the addresses of the family that comes first in answer, and
// those of the other one.
func usable(answer []netip.Addr) (first, other []netip.Addr) {
	for _, a := range answer {
		a = a.Unmap()
		switch {
		case a.IsUnspecified():
		case len(first) == 0 || a.Is4() == first[0].Is4():
			first = append(first, a)
		default:
			other = append(other, a)
		}
	}
	return distinct(first), distinct(other)
}

func distinct(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
