package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What net/http has to say stands in the log as a line like all others: the
// Transport says it to package log, a server to its ErrorLog.
func TestNetHTTPSpeaksThroughTheLog(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell")
		fmt.Fprint(c, "and more than was asked for")
		_, _ = c.Read(make([]byte, 1))
	}))
	defer upstream.Close()
	r := run(t, minimal(upstream.URL)+"telemetry: {logs: {level: debug}}\n")
	tests := []struct {
		name, says, level string
		do                func()
	}{
		{"the Transport, of an upstream that says too much", "Unsolicited response received on idle HTTP channel", "WARN", func() {
			// What has trailers takes no other way to the upstream.
			req, err := http.NewRequest("POST", r.data, io.MultiReader(strings.NewReader("body")))
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"Digest": {"0"}}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}},
		{"a server, of a client that breaks HTTP/2", "http2: server connection error from ", "DEBUG", func() {
			c := dialRaw(t, r.data)
			fmt.Fprint(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00") // settings,
			fmt.Fprint(c, "\x00\x00\x00\x04\x00\x00\x00\x00\x01")                                 // and some on a stream
			_, _ = c.Read(make([]byte, 1))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.do()
			for timeout := time.After(20 * time.Second); ; {
				select {
				case line := <-r.lines:
					told := fmt.Sprint(line["msg"], line["text"])
					if !strings.Contains(told, tt.says) {
						continue
					}
					if line["level"] != tt.level || line["msg"] == "plain" {
						t.Errorf("line = %v, want one of the log, at %s", line, tt.level)
					}
					return
				case <-timeout:
					t.Fatalf("nobody says %q", tt.says)
				}
			}
		})
	}
}
