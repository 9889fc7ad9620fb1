package tracing

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"sidecar/internal/tracing/otlptest"
)

func TestSpansArriveAtACollector(t *testing.T) {
	certificate, file := selfSigned(t)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", file)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:1") // the policy goes before it
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
	for scheme, options := range map[string][]grpc.ServerOption{
		"http":  nil,
		"https": {grpc.Creds(credentials.NewServerTLSFromCert(&certificate))},
	} {
		t.Run(scheme, func(t *testing.T) {
			sink := otlptest.Listen(t, options...)
			var log bytes.Buffer
			tr := open(t, scheme+"://"+sink.Address, &log)
			cross(tr, record(false), 503, 200)
			if err := tr.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(sink.Spans()); n != 3 {
				t.Errorf("%d spans arrived, want 3", n)
			}
			resource := sink.Resource()
			for name, want := range map[string]string{
				"service.name": "sidecar", "service.version": "v1.2.3", "deployment.environment": "test",
			} {
				if resource[name] != want {
					t.Errorf("%s = %v, want %s", name, resource[name], want)
				}
			}
			if log.Len() > 0 {
				t.Errorf("the log says %s", &log)
			}
		})
	}
}

func TestTheServiceGoesByTheNameInTheEnvironment(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "orders")
	sink := otlptest.Listen(t)
	tr := open(t, "http://"+sink.Address, &bytes.Buffer{})
	cross(tr, record(false))
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := sink.Resource()["service.name"]; got != "orders" {
		t.Errorf("service.name = %v, want orders", got)
	}
}

func TestACollectorThatIsAwayCostsNothing(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for name, address := range map[string]string{"refuses": nobody.Addr().String(), "is mute": mute.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			tr := open(t, "http://"+address, &log)
			r := record(false, "User-Agent", strings.Repeat("x", 1000))
			cross(tr, r, 200)
			before := inUse()
			start := time.Now()
			for range 20_000 {
				r.TraceID = ""
				cross(tr, r)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("20000 requests took %v, want them not to wait", took)
			}
			// The queue holds 2048 spans, and a batch 512.
			if grown := inUse() - before; grown > 20<<20 {
				t.Errorf("memory has grown by %d bytes, want a bounded queue", grown)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			start = time.Now()
			err := tr.Shutdown(ctx)
			closing := time.Since(start)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the collector: ") {
				t.Errorf("Shutdown says %v, want its deadline, and what is wrong with the collector", err)
			}
			if name == "refuses" && !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("Shutdown says %v, want that nobody listens", err)
			}
			// Shutdown does not wait for the end of what it gives up.
			select {
			case <-tr.export.ended:
			case <-time.After(20 * time.Second):
				t.Fatal("the export that was given up does not end")
			}
			// Each of the spans is counted once, wherever it was lost.
			dropped := tr.Dropped()
			if all := dropped["queue_full"] + dropped["export_failed"]; all != 20_002 || dropped["queue_full"] < 10_000 {
				t.Errorf("dropped %v, want 20002 in all, most of them for want of room", dropped)
			}
			told := 0
			for line := range strings.Lines(log.String()) {
				if _, after, ok := strings.Cut(line, "spans="); ok {
					n, _, _ := strings.Cut(after, " ")
					spans, _ := strconv.Atoi(n)
					told += spans
				}
			}
			if u, ok := errors.AsType[*Undelivered](err); !ok || told+int(u.Spans) != 20_002 {
				t.Errorf("told of %d before, and now %v, want 20002 in all", told, err)
			}
			if closing > 5*time.Second {
				t.Errorf("Shutdown took %v, want it to keep its deadline", closing)
			}
		})
	}
}

func inUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestTracingIsSwitchedOff(t *testing.T) {
	for _, variable := range []string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none", "NOTHING=said"} {
		t.Run(variable, func(t *testing.T) {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
			c := &Config{OTLP: "http://127.0.0.1:1"}
			if name == "NOTHING" {
				c = nil
			}
			tr, err := New(t.Context(), c, "v1", slog.New(slog.DiscardHandler))
			if tr != nil || err != nil {
				t.Errorf("New: %v, %v, want nothing", tr, err)
			}
			if err := tr.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown of nothing: %v", err)
			}
		})
	}
}

// failing is a collector that takes nothing.
type failing struct{ sdk.SpanExporter }

func (failing) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return errors.New("away") }

func TestLostSpansAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := &exporter{SpanExporter: failing{}, log: slog.New(slog.NewTextHandler(&log, nil)), tally: &tally{}, life: t.Context()}
		for range 121 { // seconds
			if err := e.ExportSpans(t.Context(), make([]sdk.ReadOnlySpan, 10)); err != nil {
				t.Fatalf("ExportSpans: %v, want it told to the log alone", err)
			}
			time.Sleep(time.Second)
		}
		if got := strings.Count(log.String(), "spans not delivered"); got != 3 {
			t.Errorf("told %d times in two minutes, want 3:\n%s", got, &log)
		}
		if got := strings.Count(log.String(), "spans=600 "); got != 2 {
			t.Errorf("want the number of each minute:\n%s", &log)
		}
	})
}

func open(t *testing.T, url string, log *bytes.Buffer) *Tracing {
	t.Helper()
	tr, err := New(t.Context(), &Config{OTLP: url}, "v1.2.3", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil || tr == nil {
		t.Fatalf("New: %v, %v", tr, err)
	}
	return tr
}

// selfSigned returns a certificate for 127.0.0.1, and the file where clients
// find it.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// Some of them are found wrong by us, some by the libraries, some by both.
func TestAVariableThatCannotBeFollowedIsNamedOnce(t *testing.T) {
	tests := []struct{ variable, says string }{
		{"OTEL_TRACES_SAMPLER=sometimes", "value=sometimes"},
		{"OTEL_BSP_SCHEDULE_DELAY=abc", "value=abc"},
		{"OTEL_BSP_MAX_QUEUE_SIZE=-1", "value=-1"},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=0", "value=0"},
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=many", "value=many"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=5s", "whole milliseconds"},
		{"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=5s", "whole milliseconds"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/nofile", "no such file"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/dev/null", "create tls cert pool"},
		{"OTEL_RESOURCE_ATTRIBUTES=bad", "missing value: [bad]"},
		{"OTEL_EXPORTER_OTLP_HEADERS=hunter2", "parse headers"},
		{"OTEL_EXPORTER_OTLP_HEADERS=a=hunter2%", "not percent-encoded"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://me:hunter2@local host", "not a URL"},
	}
	for _, tt := range tests {
		t.Run(tt.variable, func(t *testing.T) {
			name, value, _ := strings.Cut(tt.variable, "=")
			t.Setenv(name, value)
			var log bytes.Buffer
			tr := open(t, "https://127.0.0.1:1", &log)
			if err := tr.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			said := log.String()
			if strings.Count(said, "\n") != 1 || !strings.Contains(said, "name="+name+" ") || !strings.Contains(said, tt.says) {
				t.Errorf("the log says\n%swant one line that names %s and says %q", said, name, tt.says)
			}
			if strings.Contains(said, "hunter2") {
				t.Errorf("the log tells a secret: %s", said)
			}
		})
	}
}

func TestWhatTheLibrariesSayIsInTheLog(t *testing.T) {
	var log bytes.Buffer
	w := &words{log: slog.New(slog.NewJSONHandler(&log, nil))}
	l := logr.New(w)
	l.V(8).Info("for developers")
	l.V(4).Info("for the curious", "config", 1)
	l.V(1).Info("a warning", "limit", 7)
	l.Error(errors.New("broken"), "a new message")
	w.Handle(errors.New("partial success"))
	want := `"says":"a warning","limit":7}|"says":"a new message","error":"broken"}|"error":"partial success"}`
	var got []string
	for line := range strings.Lines(log.String()) {
		_, after, _ := strings.Cut(line, `"level":"WARN","msg":"tracing",`)
		got = append(got, strings.TrimSpace(after))
	}
	if strings.Join(got, "|") != want {
		t.Errorf("the log says %s, want %s", &log, want)
	}
}
