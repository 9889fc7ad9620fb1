# syntax=docker/dockerfile:1
# For an image that can be built again next year, pin both FROM by digest.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
ARG REVISION=unknown
# The flags stand in the Makefile, so that this is the binary of `make build`.
RUN make build VERSION="${VERSION}" REVISION="${REVISION}"

# Nothing but certificates, time zones and the binary; no shell, no root.
FROM gcr.io/distroless/static:nonroot
ARG VERSION=devel
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sidecar" \
      org.opencontainers.image.description="A reverse proxy that applies resilience policies to one service." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /src/bin/sidecar /sidecar
# By number: runAsNonRoot of Kubernetes cannot tell from a name.
USER 65532:65532
EXPOSE 8080 9090
# Docker asks this; Kubernetes has its own probes. There is no shell for the
# other form.
HEALTHCHECK --interval=10s --timeout=3s CMD ["/sidecar", "health"]
ENTRYPOINT ["/sidecar"]
CMD ["run", "--policy", "/etc/sidecar/sidecar.yaml"]
