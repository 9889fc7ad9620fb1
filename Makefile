# make help lists what there is.
GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  := -s -w -X main.version=$(VERSION)
TOOL     := $(GO) tool -modfile=tools/go.mod
PACKAGES := ./...
# The race detector is linked by a C compiler; a machine without one tests
# without it.
RACE     := $(if $(shell command -v $${CC:-gcc} 2>/dev/null),-race)

.PHONY: help build run demo test unit race fuzz bench lint tidy docker clean

help: ## Say what there is to make.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build bin/sidecar, static.
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sidecar ./cmd/sidecar

run: build ## Build, and run the demo: a flaky upstream and the sidecar in front of it.
	./bin/sidecar demo

demo: run ## The same as run.

test: lint race ## Everything that CI runs.

unit: ## The tests without the race detector: quick.
	$(GO) test $(PACKAGES)

race: ## The tests, with the race detector where there is a C compiler.
	$(GO) test $(RACE) $(PACKAGES)

fuzz: ## Each fuzz target for FUZZTIME (default 20s).
	@for pkg in $$($(GO) list $(PACKAGES)); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $${FUZZTIME:-20s} $$pkg || exit 1; \
	  done; \
	done

bench: ## The Go benchmarks, with allocations.
	$(GO) test -run '^$$' -bench . -benchmem $(PACKAGES)

lint: ## Format, vet, staticcheck, tidiness of the modules.
	@unformatted=$$($(TOOL) gofumpt -l .); if [ -n "$$unformatted" ]; then echo "not gofumpt-ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet $(PACKAGES)
	$(TOOL) staticcheck $(PACKAGES)
	$(GO) mod tidy -diff
	$(GO) mod verify

docker: ## Build the container image.
	docker build --build-arg VERSION=$(VERSION) -t sidecar:$(VERSION) .

clean: ## Remove what was built.
	rm -rf bin
