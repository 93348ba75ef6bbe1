# exile: `make help` lists the targets. CI calls the same ones.
PREFIX  ?= /usr
DESTDIR ?=
FUZZTIME ?= 30s
COUNT   ?= 6
BIN     ?= bin
DIST    ?= dist
DATA    ?= ../shared/data/attempts
FORMAT  ?= table

GO := $(or $(shell command -v go),/usr/local/go/bin/go)
export PATH := $(PATH):$(dir $(GO))
export CGO_ENABLED = 0
# Everything is static; only the race detector needs a C compiler.
RACE := CGO_ENABLED=1 $(GO) test -race
# Packages with goroutines: the others gain nothing from -race and lose minutes.
RACED := $(addsuffix /...,$(wildcard ./dbusapi ./firewall ./internal/daemon ./internal/metrics ./internal/state ./internal/varlink ./journal))
PACKAGES := $(addsuffix /...,$(wildcard ./cmd ./dbusapi ./firewall ./internal ./jail ./journal))
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

include units/files.mk

all: build

build: ## Build bin/exiled and bin/exilectl, static
	$(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/...

check: deps lint test e2e ## Everything: lint, unit tests, kernel tests, a booted host (as root; under 15 minutes)

lint: bin/golangci-lint ## Check style and import rules
	bin/golangci-lint run ./...

bin/golangci-lint: internal/tools/go.mod
	cd internal/tools && $(GO) build -o ../../bin/ tool

test: deps ## Unit tests; as root also the backends in network namespaces; what has goroutines also with -race
	$(GO) test $(PACKAGES)
	$(RACE) -short $(RACED)

e2e: deps build bin/nfpm ## Attack real systemd hosts, booted in namespaces: this machine's own and Debian 13 (as root)
	$(GO) test -count=1 -parallel 4 -timeout 25m ./e2e/...
	root=$$(internal/tools/debian.sh trixie) && { [ -z "$$root" ] || \
	  $(GO) test -count=1 -parallel 4 -timeout 25m ./e2e/ -root "$$root"; }

demo: deps build ## Watch a real attacker being exiled (as root)
	@$(GO) run ./e2e/demo

fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | while read -r dir name; do \
	  $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$dir" </dev/null || exit 1; done

bench: ## Run the benchmarks into bin/bench.new; the run before is kept in bin/bench.old, for benchstat
	@mkdir -p bin; [ ! -e bin/bench.new ] || mv bin/bench.new bin/bench.old
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) $(PACKAGES) ./e2e >bin/bench.new; s=$$?; cat bin/bench.new; exit $$s

efficacy: ## Replay the attempts in DATA against every detector into docs/efficacy.md; FORMAT=json prints numbers
	@$(GO) run ./internal/efficacy/report -data "$(DATA)" -format "$(FORMAT)" $(if $(filter table,$(FORMAT)),-document docs/efficacy.md)

install: build ## Install to DESTDIR/PREFIX; without DESTDIR also enable and start (as root)
	@internal/tools/install.sh install "$(DESTDIR)" "$(PREFIX)" $(FILES)

uninstall: ## Stop, disable and remove what install installed; /etc/exile and /var/lib/exile stay
	@internal/tools/install.sh uninstall "$(DESTDIR)" "$(PREFIX)" $(FILES)

package: bin/nfpm ## Make DIST/exile*.deb and DIST/exile*.rpm (dist); two runs give the same bytes
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && \
	$(MAKE) -s install BIN="$$work/bin" DESTDIR="$$work/root" PREFIX=/usr && \
	internal/tools/package.sh "$(VERSION)" "$$work/root" "$(DIST)"

bin/nfpm: internal/tools/nfpm/go.mod
	cd internal/tools/nfpm && $(GO) build -o ../../../bin/ tool

deps: ## Install what the other targets need and is missing, with apt or dnf (as root)
	@internal/tools/deps.sh

clean: ## Remove what was built
	rm -rf bin dist

help: ## Show this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: all build check lint test e2e demo fuzz bench efficacy install uninstall package deps clean help
