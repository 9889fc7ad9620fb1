package main

import (
	"context"
	"net"
	"sync/atomic"

	traces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// collector takes spans, and swallows them.
type collector struct {
	traces.UnimplementedTraceServiceServer

	url      string
	requests atomic.Int64
	stop     func()
}

// collect returns a collector that listens on socket until it is stopped.
func collect(socket net.Listener) *collector {
	server := grpc.NewServer()
	c := &collector{url: "http://" + socket.Addr().String(), stop: server.Stop}
	traces.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(socket) }()
	return c
}

func (c *collector) Export(context.Context, *traces.ExportTraceServiceRequest) (*traces.ExportTraceServiceResponse, error) {
	c.requests.Add(1)
	return &traces.ExportTraceServiceResponse{}, nil
}
