# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /sidecar ./cmd/sidecar

# Nothing but certificates, time zones and the binary; no shell, no root.
FROM gcr.io/distroless/static:nonroot
COPY --from=build /sidecar /sidecar
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/sidecar"]
CMD ["run", "--policy", "/etc/sidecar/sidecar.yaml"]
