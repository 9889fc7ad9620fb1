package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidecar/internal/certs/certstest"
	"sidecar/internal/policy"
)

// securely returns a minimal policy whose listeners speak TLS with what is in
// folder: tls.crt, tls.key and ca.crt.
func securely(upstream, folder, clientAuth string) string {
	section := `{certFile: "` + folder + `/tls.crt", keyFile: "` + folder + `/tls.key"`
	telemetry := section + "}"
	if clientAuth != "none" {
		section += `, clientCAFile: "` + folder + `/ca.crt", clientAuth: ` + clientAuth
	}
	return strings.Replace(minimal(upstream), "server: {", "server: {tls: "+section+"}, telemetryTLS: "+telemetry+", adminTLS: "+section+"}, ", 1)
}

// secret puts a certificate where a policy of securely finds it, as the kubelet
// does: all files change at once.
func secret(t *testing.T, folder, version string, pair certstest.Pair, ca []byte) {
	t.Helper()
	dir, link := filepath.Join(folder, "..v"+version), filepath.Join(folder, "..data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"tls.crt": pair.Cert, "tls.key": pair.Key, "ca.crt": ca} {
		write(t, filepath.Join(dir, name), string(data))
		_ = os.Symlink("..data/"+name, filepath.Join(folder, name)) // once
	}
	if err := os.Symlink(filepath.Base(dir), link+"_tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+"_tmp", link); err != nil {
		t.Fatal(err)
	}
}

// secureClient trusts ca, shows certificates, and keeps no connection.
func secureClient(ca *certstest.Authority, shown ...tls.Certificate) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(shown) == 0 {
				return &tls.Certificate{}, nil
			}
			return &shown[0], nil // also where the server names other CAs
		}},
	}}
}

// refusal returns what ends a handshake. It sends nothing behind it: the other
// end would answer that with a reset, which overtakes the alert.
func refusal(c *http.Client, url string) string {
	config := c.Transport.(*http.Transport).TLSClientConfig
	url = strings.TrimPrefix(url, "https://")
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", strings.TrimSuffix(url, "/routes"), config)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, err = conn.Read(make([]byte, 1))
	return fmt.Sprint(err)
}

// says returns the protocol and status of an answer, or what went wrong.
func says(c *http.Client, url string) string {
	resp, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return fmt.Sprint(resp.Proto, " ", resp.StatusCode)
}

func TestEachModeOfTLS(t *testing.T) {
	ours, theirs := certstest.New(t, "ours"), certstest.New(t, "theirs")
	folder := t.TempDir()
	secret(t, folder, "1", ours.Below(t, "intermediate").Issue(t, "here"), ours.PEM())
	good, wrong := ours.Issue(t, "alice").TLS(t), theirs.Issue(t, "mallory").TLS(t)
	expired := ours.Issue(t, "late", certstest.Expired).TLS(t)
	version := func(c *http.Client, v uint16) *http.Client {
		c.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS10
		c.Transport.(*http.Transport).TLSClientConfig.MaxVersion = v
		return c
	}
	only1 := func(c *http.Client) *http.Client {
		c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
		return c
	}
	const in = "HTTP/2.0 200"
	tests := []struct {
		mode, name string
		client     *http.Client
		want       string
	}{
		{"none", "anybody", secureClient(ours), in},
		{"none", "who speaks HTTP/1.1", only1(secureClient(ours)), "HTTP/1.1 200"},
		{"none", "TLS 1.2", version(secureClient(ours), tls.VersionTLS12), in},
		{"none", "TLS 1.1", version(secureClient(ours), tls.VersionTLS11), "protocol version not supported"},
		{"none", "who trusts others", secureClient(theirs), "certificate signed by unknown authority"},
		{"optional", "no certificate", secureClient(ours), in},
		{"optional", "a certificate", secureClient(ours, good), in},
		{"optional", "one of another CA", secureClient(ours, wrong), "unknown certificate authority"},
		{"optional", "one that has expired", secureClient(ours, expired), "expired certificate"},
		{"require", "no certificate", secureClient(ours), "certificate required"},
		{"require", "no certificate by TLS 1.2", version(secureClient(ours), tls.VersionTLS12), "handshake failure"},
		{"require", "a certificate", secureClient(ours, good), in},
		{"require", "one of another CA", secureClient(ours, wrong), "unknown certificate authority"},
		{"require", "one that has expired", secureClient(ours, expired), "expired certificate"},
	}
	for _, mode := range []string{"none", "optional", "require"} {
		r := run(t, securely(well(t), folder, mode))
		for _, tt := range tests {
			if tt.mode != mode {
				continue
			}
			for _, url := range []string{r.data, r.admin + "/routes"} {
				got := ""
				if strings.HasSuffix(tt.want, " 200") {
					got = says(tt.client, url)
				} else {
					got = refusal(tt.client, url)
				}
				if !strings.Contains(got, tt.want) {
					t.Errorf("clientAuth %s, %s, %s: %s, want %s", mode, url, tt.name, got, tt.want)
				}
			}
		}
		if got := says(secureClient(ours), r.telemetry+"/healthz"); got != in {
			t.Errorf("telemetry: %s, want %s", got, in)
		}
		if status, _ := ask(t, "GET", strings.Replace(r.data, "https:", "http:", 1), ""); status != 400 {
			t.Errorf("HTTP without TLS: %d, want 400", status)
		}
	}
}

func TestALoadFeelsNothingOfNewCertificates(t *testing.T) {
	ca := certstest.New(t, "ours")
	folder := t.TempDir()
	secret(t, folder, "0", ca.Issue(t, "v0"), ca.PEM())
	r := run(t, securely(well(t), folder, "optional"))
	l := newLoadBy(r.data, "well", func() *http.Transport { return secureClient(ca).Transport.(*http.Transport) })
	kept := secureClient(ca)
	kept.Transport.(*http.Transport).DisableKeepAlives = false
	defer kept.CloseIdleConnections()
	name := func(c *http.Client) string {
		t.Helper()
		resp, err := c.Get(r.data)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	if got := name(kept); got != "v0" {
		t.Fatalf("the certificate is %s, want v0", got)
	}
	for i := 1; i <= 5; i++ {
		want := fmt.Sprint("v", i)
		secret(t, folder, fmt.Sprint(i), ca.Issue(t, want), ca.PEM())
		r.wantReload("[server.tls changed server.telemetryTLS changed server.adminTLS changed]", "[]")
		if got := name(secureClient(ca)); got != want {
			t.Errorf("after the reload the certificate is %s, want %s", got, want)
		}
		if got := name(kept); got != "v0" {
			t.Errorf("a connection that is kept has %s, want it untouched", got)
		}
	}
	l.end(t)
}

func TestABrokenNewCertificateLeavesTheOldOne(t *testing.T) {
	ca := certstest.New(t, "ours")
	folder := t.TempDir()
	first, second := ca.Issue(t, "first"), ca.Issue(t, "second")
	secret(t, folder, "0", first, ca.PEM())
	r := run(t, securely(well(t), folder, "require"))
	me := secureClient(ca, ca.Issue(t, "me").TLS(t))
	for i, tt := range []struct {
		name string
		pair certstest.Pair
		ca   []byte
		want string
	}{
		{"the key of another", certstest.Pair{Cert: second.Cert, Key: first.Key}, ca.PEM(), `:2:\d+: server.tls.keyFile: must be the key of the first certificate in certFile, "second", and is another`},
		{"garbage", certstest.Pair{Cert: []byte("x"), Key: first.Key}, ca.PEM(), `:2:\d+: server.tls.certFile: must hold certificates in PEM, and has none`},
		{"no CA", first, []byte("x"), `:2:\d+: server.tls.clientCAFile: must hold certificates in PEM, and has none`},
	} {
		secret(t, folder, fmt.Sprint(i+1), tt.pair, tt.ca)
		line := r.next()
		if got := fmt.Sprint(line["problems"]); line["who"] != "watch" || !matches(tt.want, got) {
			t.Errorf("%s: the log says %v, want %s", tt.name, line, tt.want)
		}
		if got := says(me, r.data); got != "HTTP/2.0 200" {
			t.Errorf("%s: %s, want the certificate before to hold", tt.name, got)
		}
		_, text := askBy(t, secureClient(ca), r.telemetry+"/metrics")
		if !strings.Contains(text, "sidecar_config_last_reload_successful 0") || strings.Count(text, "sidecar_tls_certificate_expiry_timestamp_seconds{") != 5 {
			t.Errorf("%s: metrics do not tell of the failed reload, or not of the certificates that hold", tt.name)
		}
	}
	late := ca.Issue(t, "late", certstest.Expired)
	secret(t, folder, "9", late, ca.PEM())
	r.wantReload("[server.tls changed server.telemetryTLS changed server.adminTLS changed]", "[]")
	if _, err := sidecarOutput(t, "check", r.policy); err != nil {
		t.Errorf("check: %v, want what has expired taken", err)
	}
	out, _ := sidecarOutput(t, "check", r.policy)
	if !matches(`server.tls.certFile: warning: has expired, at 20`, out) {
		t.Errorf("check says %s, want a warning of what has expired", out)
	}
}

// A session that is resumed is one whose certificate is looked at again.
func TestACAThatIsGoneResumesNoSession(t *testing.T) {
	before, after := certstest.New(t, "before"), certstest.New(t, "after")
	here := before.Issue(t, "here")
	folder := t.TempDir()
	secret(t, folder, "0", here, before.PEM())
	r := run(t, securely(well(t), folder, "require"))
	me := secureClient(before, before.Issue(t, "me").TLS(t))
	me.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	resumed := func() bool {
		t.Helper()
		resp, err := me.Get(r.data)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.TLS.DidResume
	}
	if resumed() || !resumed() {
		t.Error("the second connection does not resume the session of the first")
	}
	secret(t, folder, "1", before.Issue(t, "renewed"), before.PEM())
	r.next()
	if !resumed() {
		t.Error("a new certificate ends sessions, want them to go on")
	}
	secret(t, folder, "2", here, after.PEM())
	r.next()
	if got := refusal(me, r.data); !strings.Contains(got, "unknown certificate authority") {
		t.Errorf("a session of a CA that is gone: %s, want it refused", got)
	}
}

func TestTLSBeginsAndEndsWithARestart(t *testing.T) {
	ca := certstest.New(t, "ours")
	folder, upstream := t.TempDir(), well(t)
	secret(t, folder, "0", ca.Issue(t, "here"), ca.PEM())
	r := run(t, securely(upstream, folder, "none"))
	write(t, r.policy, minimal(upstream))
	r.wantReload("[server.tls changed: needs a restart server.telemetryTLS changed: needs a restart server.adminTLS changed: needs a restart]", "[]")
	if got := says(secureClient(ca), r.data); got != "HTTP/2.0 200" {
		t.Errorf("%s, want TLS until the restart", got)
	}

	plain := run(t, minimal(upstream))
	write(t, plain.policy, securely(upstream, folder, "none"))
	plain.wantReload("[server.tls changed: needs a restart server.telemetryTLS changed: needs a restart server.adminTLS changed: needs a restart]", "[]")
	if status, _ := ask(t, "GET", plain.data, ""); status != 200 {
		t.Errorf("%d without TLS, want no TLS until the restart", status)
	}
}

func TestAnUpstreamIsCalledByTLSAsThePolicySays(t *testing.T) {
	ours, theirs := certstest.New(t, "ours"), certstest.New(t, "theirs")
	url := secureService(t, ours.Issue(t, "orders", func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"orders.internal"}, nil }).TLS(t), ours)
	folder := t.TempDir()
	secret(t, folder, "0", ours.Issue(t, "sidecar-1"), ours.PEM())
	policy := func(section string) string {
		return strings.Replace(minimal(url), "endpoints:", "tls: {"+strings.ReplaceAll(section, "DIR", folder)+"}, endpoints:", 1)
	}
	const whole = `caFile: "DIR/ca.crt", certFile: "DIR/tls.crt", keyFile: "DIR/tls.key", serverName: orders.internal`
	r := run(t, policy(whole))
	if status, text := ask(t, "GET", r.data, ""); status != 200 || text != "hello sidecar-1" {
		t.Errorf("%d %s, want the upstream to know us", status, text)
	}
	l := newLoadBy(r.data, "hello sidecar-", func() *http.Transport { return &http.Transport{} })
	for i := 2; i <= 4; i++ {
		secret(t, folder, fmt.Sprint(i), ours.Issue(t, fmt.Sprint("sidecar-", i)), ours.PEM())
		r.wantReload("[upstream app changed]", "[pool/app]")
		if status, text := ask(t, "GET", r.data, ""); status != 200 || text != fmt.Sprint("hello sidecar-", i) {
			t.Errorf("%d %s, want the new certificate shown", status, text)
		}
	}
	l.end(t)
	_, metrics := ask(t, "GET", r.telemetry+"/metrics", "")
	for _, file := range []string{"caFile", "certFile"} {
		if series := `sidecar_tls_certificate_expiry_timestamp_seconds{file="` + file + `",listener="",upstream="app"} `; !strings.Contains(metrics, series) {
			t.Errorf("metrics do not tell %s", series)
		}
	}
	secret(t, folder, "9", ours.Issue(t, "sidecar-9"), theirs.PEM())
	r.wantReload("[upstream app changed]", "[pool/app]")
	wantProxyStatus(t, r.data, "tls_certificate_error")

	write(t, r.policy, policy(`insecureSkipVerify: true, certFile: "DIR/tls.crt", keyFile: "DIR/tls.key"`))
	r.line("policy reloaded")
	if status, text := ask(t, "GET", r.data, ""); status != 200 || text != "hello sidecar-9" {
		t.Errorf("%d %s, want anybody believed", status, text)
	}
	if _, text := ask(t, "GET", r.telemetry+"/healthz", ""); !strings.Contains(text, "the certificate of upstream app is not verified") {
		t.Errorf("health: %s, want it to tell of it", text)
	}
	if out, _ := sidecarOutput(t, "check", r.policy); !strings.Contains(out, "upstreams.app.tls.insecureSkipVerify: warning:") {
		t.Errorf("check says %s, want a warning", out)
	}
	write(t, r.policy, policy(`caFile: "DIR/ca.crt"`))
	r.line("policy reloaded")
	r.signal(syscall.SIGTERM)
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestHealthByTLS(t *testing.T) {
	ca := certstest.New(t, "ours")
	folder := t.TempDir()
	secret(t, folder, "0", ca.Issue(t, "here"), ca.PEM())
	r := run(t, securely(well(t), folder, "none"))
	if out, err := sidecarOutput(t, "health", "--url", r.telemetry, "--ca-file", filepath.Join(folder, "ca.crt")); err != nil || out != "healthy\n" {
		t.Errorf("health: %q, %v, want healthy", out, err)
	}
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"the system's CAs", "certificate signed by unknown authority", []string{"--url", r.telemetry}},
		{"no file", "--ca-file: cannot be read: open ", []string{"--url", r.telemetry, "--ca-file", filepath.Join(folder, "gone")}},
		{"a file of something else", "--ca-file: must hold certificates in PEM, and has none", []string{"--url", r.telemetry, "--ca-file", filepath.Join(folder, "tls.key")}},
	} {
		if out, err := sidecarOutput(t, append([]string{"health"}, tt.args...)...); err == nil || !strings.Contains(out, tt.want) {
			t.Errorf("%s: %q, %v, want %s", tt.name, out, err, tt.want)
		}
	}
}

func TestAKeyThatOthersCanReadIsTold(t *testing.T) {
	ca := certstest.New(t, "ours")
	folder := t.TempDir()
	secret(t, folder, "0", ca.Issue(t, "here"), ca.PEM())
	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	write(t, file, securely(well(t), folder, "none"))
	for mode, want := range map[os.FileMode]bool{0o644: true, 0o640: true, 0o600: false, 0o400: false} {
		if err := os.Chmod(filepath.Join(folder, "tls.key"), mode); err != nil {
			t.Fatal(err)
		}
		var log syncBuffer
		s, err := newSidecar(func(o policy.Options) (*policy.File, error) { return policy.Load(file, o) }, &log)
		if err != nil {
			t.Fatal(err)
		}
		s.stop()
		told := `"msg":"a secret can be read by others","key":"server.adminTLS.keyFile","mode":"` + mode.String() + `"`
		if got := strings.Contains(log.String(), told); got != want {
			t.Errorf("mode %v is told: %v, want %v; the log:\n%s", mode, got, want, log.String())
		}
	}
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

// askBy is ask for a client of its own.
func askBy(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// secureService returns the URL of an upstream that shows this certificate and
// greets whoever shows one of ca.
func secureService(t *testing.T, shown tls.Certificate, ca *certstest.Authority) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{shown}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// wantProxyStatus checks the error type of Proxy-Status.
func wantProxyStatus(t *testing.T, url, want string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Proxy-Status"); resp.StatusCode != 502 || !strings.Contains(got, "error="+want+";") {
		t.Errorf("%d, Proxy-Status: %s, want 502 and %s", resp.StatusCode, got, want)
	}
}
