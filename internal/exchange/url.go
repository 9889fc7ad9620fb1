package exchange

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// HostURL returns what is wrong with the URL of a place that is called by its
// host and port alone, if anything.
func HostURL(raw string) string {
	const want = "must be http://HOST:PORT or https://HOST:PORT"
	u, problem := parseURL(raw, want)
	switch {
	case problem != "":
		return problem
	case u.Hostname() == "":
		return fmt.Sprintf("%s, got %q", want, raw)
	case strings.HasSuffix(u.Host, ":"), u.Port() != "" && !isPort(u.Port()):
		return fmt.Sprintf("%s, with a port of 1 to 65535, got %q", want, raw)
	case u.Path != "" && u.Path != "/", strings.ContainsAny(raw, "?#"):
		return fmt.Sprintf("%s and nothing behind it, got %q", want, raw)
	}
	return ""
}

// RemoteURL returns what is wrong with the URL of something that is asked, if
// anything.
func RemoteURL(raw string) string {
	return remoteURL(raw, "must be an http or https URL", true)
}

// SecureURL is RemoteURL for answers that make tokens for whoever can change
// them on their way: they must come by TLS or not travel.
func SecureURL(raw string) string {
	return remoteURL(raw, "must be an https URL, or an http one to this machine", false)
}

func remoteURL(raw, want string, plain bool) string {
	u, problem := parseURL(raw, want)
	switch {
	case problem != "":
		return problem
	case u.Hostname() == "", u.Scheme == "http" && !plain && !Loopback(u.Hostname()):
		return fmt.Sprintf("%s, got %q", want, raw)
	case strings.Contains(raw, "#"):
		return fmt.Sprintf("%s, without a fragment, got %q", want, raw)
	}
	return ""
}

// parseURL returns the http or https URL that raw is, or what is wrong with it.
func parseURL(raw, want string) (u *url.URL, problem string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, want + ", and does not parse"
	case u.User != nil:
		return nil, want + ", without user and password: a secret must not stand in the policy file"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Sprintf("%s, got %q", want, raw)
	}
	return u, ""
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
