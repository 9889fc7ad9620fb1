# make help lists what there is.
GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# The same source, VERSION, REVISION and Go give the same bytes in any folder,
# with .git or without: what differs there is told by the linker, or not at all.
BUILD    := -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION) -X main.revision=$(REVISION)'
TOOL     := $(GO) tool -modfile=tools/go.mod
PACKAGES := ./...
ROUNDS   ?= 12
# The race detector is linked by a C compiler; a machine without one tests
# without it.
RACE     := $(if $(shell command -v $${CC:-gcc} 2>/dev/null),-race)

.PHONY: help build run demo docs test unit race k8s fuzz soak scenarios bench profile pgo microbench lint tidy docker clean

help: ## Say what there is to make.
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/sidecar, static and reproducible.
	CGO_ENABLED=0 $(GO) build $(BUILD) -o bin/sidecar ./cmd/sidecar

run: build ## Build, and run the demo: a flaky upstream and the sidecar in front of it.
	./bin/sidecar demo

demo: run ## The same as run.

test: lint race k8s ## Lint, every test, the manifests.

unit: ## The tests without the race detector: quick.
	$(GO) test $(PACKAGES)

race: ## The tests, with the race detector where there is a C compiler.
	$(GO) test $(RACE) $(PACKAGES)

# -count=1: what lies outside of its module does not end the cache of a test.
k8s: ## Render and check the manifests of deploy/k8s.
	cd test/k8s && $(GO) test -count=1 -vet=all ./...

# The tests that find these files out of date are what writes them.
docs: ## Write what is generated: docs/{policy,reasons,metrics}.md, configs/sidecar.schema.json.
	$(GO) test -run IsCurrent ./internal/exchange ./internal/metrics ./internal/policy -update

fuzz: ## Each fuzz target for FUZZTIME (default 20s).
	@for pkg in $$($(GO) list $(PACKAGES)); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $${FUZZTIME:-20s} $$pkg || exit 1; \
	  done; \
	done

soak: ## Reloads, drains, breaker and leaving clients under load, as processes: a minute or two.
	$(GO) test -tags soak -run Soak -v -timeout 5m ./cmd/sidecar

scenarios: build ## What becomes of clients when the upstream is sick, beside a bare proxy; writes docs/resilience.md.
	$(GO) build -o bin/scenarios ./internal/scenarios
	./bin/scenarios -sidecar bin/sidecar -page docs/resilience.md

# A look with ROUNDS=2 writes no page.
bench: build ## What a request costs, beside a bare httputil.ReverseProxy; writes docs/performance.md.
	$(GO) build -o bin/bench ./internal/bench
	./bin/bench -sidecar bin/sidecar -rounds $(ROUNDS) -page docs/performance.md

profile: ## CPU and allocation profiles of the sidecar under the load of the bench, into profiles/.
	$(GO) test -c -tags profile -o bin/sidecar.profile ./cmd/sidecar
	$(GO) build -o bin/bench ./internal/bench
	./bin/bench -sidecar bin/sidecar.profile -profiles profiles

# Every build of cmd/sidecar from then on takes it (go help build, -pgo).
pgo: profile ## Write cmd/sidecar/default.pgo, which the compiler optimises by.
	cp profiles/cpu.pprof cmd/sidecar/default.pgo

microbench: ## The Go benchmarks, with allocations.
	$(GO) test -run '^$$' -bench . -benchmem $(PACKAGES)

lint: ## Format, vet, staticcheck, tidiness of the modules.
	@unformatted=$$($(TOOL) gofumpt -l .); if [ -n "$$unformatted" ]; then echo "not gofumpt-ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet $(PACKAGES)
	$(GO) vet -tags soak,profile ./cmd/sidecar
	$(TOOL) staticcheck $(PACKAGES)
	$(GO) mod tidy -diff
	$(GO) mod verify

docker: ## Build the container image.
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t sidecar:$(VERSION) .

clean: ## Remove what was built.
	rm -rf bin profiles
