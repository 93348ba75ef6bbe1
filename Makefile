# exile: `make help` lists the targets. CI calls the same ones.
PREFIX  ?= /usr
DESTDIR ?=
FUZZTIME ?= 30s
COUNT   ?= 6
BIN     ?= bin
DIST    ?= dist
ARCHES  ?= amd64 arm64
DATA    ?= ../shared/data/attempts
FORMAT  ?= table
TREE    ?= .

GO := $(or $(shell command -v go),/usr/local/go/bin/go)
export PATH := $(PATH):$(dir $(GO))
export CGO_ENABLED = 0
# Everything is static; only the race detector needs a C compiler.
RACE := CGO_ENABLED=1 $(GO) test -race
# Packages with goroutines: the others gain nothing from -race and lose minutes.
RACED := $(addsuffix /...,$(wildcard ./cmd/exiled ./dbusapi ./firewall ./internal/accounts ./internal/actions ./internal/daemon ./internal/lapi ./internal/logs ./internal/metrics ./internal/peers ./internal/state ./internal/varlink ./journal))
PACKAGES := $(addsuffix /...,$(wildcard ./cmd ./dbusapi ./firewall ./internal ./jail ./journal))
VERSION := $(shell internal/tools/version.sh)

include units/files.mk

all: build

build: ## Build bin/exiled and bin/exilectl, static
	$(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/...

check: deps lint test foreign e2e ## Everything: lint, unit tests, kernel tests, a booted host (as root; under 25 minutes)

lint: bin/golangci-lint ## Check style
	bin/golangci-lint run ./...

bin/golangci-lint: internal/tools/go.mod
	cd internal/tools && $(GO) build -o ../../bin/ tool

test: deps ## Unit tests; as root also the backends in network namespaces; what has goroutines also with -race
	$(GO) test $(PACKAGES)
	$(RACE) -short $(RACED)

# What reads and writes bytes: files of the journal, netlink, D-Bus. Nothing that needs a kernel of that machine, and little that takes long
# in an emulator.
WIRE := ./journal/journalfile ./journal/internal/lookup3 ./firewall/internal/... ./firewall/ipset ./firewall/nftables ./firewall/route \
  ./firewall/sockdestroy ./firewall/sockdiag ./dbusapi/...
WIRED := Example|Fuzz(Read|Parse|Elements)|Test(Sum64|Match|Seek|SameAsJournalctl|DamagedIndex|XZ|Attributes|ElementRoundTrip|RoundTrip|Broken|Elements|ClassNames|OwnerOfBad|ReadHeader|TimesSurvive|ManagedObjects|UnwritableReply|Answer)

foreign: deps ## Unit tests of the wire code on a big-endian machine (s390x under qemu-user)
	GOARCH=s390x $(GO) test -short -vet=off -exec qemu-s390x -run '^($(WIRED))' -skip 'TestSameAsJournalctl/(classic|.*-uncompressed)' $(WIRE)

# What depends on exile and the kernel alone is not repeated on the second Debian: another systemd, sshd, journald or bus makes no difference to
# it. Where it does, but not to how the kernel bans, one backend is enough there.
ALIKE := TestKills|TestDisk|TestFull|TestMistake|TestAllowlist|TestByHand|TestFirstStart|TestStalledJournal|TestReload|TestEdit|TestEnforce|TestFail2ban|TestGroup|TestJustUnderTheLine|TestLeaks|TestLeftovers|TestPanelFiles|TestRefuse|TestResetFirewall|TestSecondInstance|TestSeveralFilters
ONCE := TestRestart|TestGuessesOfOneConnection

# A host has 16 inotify instances, most of them for path units, and root may have 128 altogether: a sixth host at the same time may hang at boot.
# So no package runs beside another (-p 1).
e2e: deps build bin/nfpm ## Attack real systemd hosts, booted in namespaces: this machine's own and Debian 13 (as root)
	$(GO) test -count=1 -p 1 -parallel 5 -timeout 25m ./e2e/...
	root=$$(internal/tools/debian.sh trixie) && { [ -z "$$root" ] || \
	  $(GO) test -count=1 -parallel 5 -timeout 25m ./e2e/ -root "$$root" -skip '^($(ALIKE))$$|^($(ONCE))$$/^(ipset|route)$$'; }

newest: deps build ## What is counted and banned with the newest OpenSSH, on a Debian unstable (as root; a report, not a part of check)
	root=$$(internal/tools/debian.sh sid) && { [ -z "$$root" ] || \
	  $(GO) test -count=1 -parallel 5 -timeout 25m ./e2e/ -root "$$root" \
	    -run 'TestCounting|TestBan$$|TestGuessesOfOneConnection|TestHostileNames|TestLockout|TestMaxStartups'; }

demo: deps build ## Watch a real attacker being exiled (as root)
	@$(GO) run ./e2e/demo

pictures: deps build ## Take the README's pictures again, of the demo and of the panel (as root)
	$(GO) test -count=1 ./e2e -run '^TestPicture$$' -shots "$(CURDIR)/docs"
	$(GO) run ./e2e/demo -svg docs/demo.svg

fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's|/[^/]*:func | |' | while read -r dir name; do \
	  $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$dir" </dev/null || exit 1; done

bench: ## Run the benchmarks into bin/bench.new; the run before is kept in bin/bench.old, for benchstat
	@mkdir -p bin; [ ! -e bin/bench.new ] || mv bin/bench.new bin/bench.old
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) $(PACKAGES) ./e2e >bin/bench.new; s=$$?; cat bin/bench.new; exit $$s

efficacy: ## Replay the attempts in DATA against every detector into docs/efficacy.md; FORMAT=json prints numbers
	@$(GO) run ./internal/efficacy/report -data "$(DATA)" -format "$(FORMAT)" $(if $(filter table,$(FORMAT)),-document docs/efficacy.md)

figures: ## Print how large exile is and how its packages hang together; TREE is another tree of it
	@cd "$(TREE)" && $(GO) list -export -deps -json=ImportPath,Dir,Export,GoFiles ./cmd/... | (cd "$(CURDIR)" && $(GO) run ./internal/policy/figures)

install: build ## Install to DESTDIR/PREFIX; without DESTDIR also enable and start (as root)
	@internal/tools/install.sh install "$(DESTDIR)" "$(PREFIX)" $(FILES)

uninstall: ## Stop, disable and remove what install installed; /etc/exile and /var/lib/exile stay
	@internal/tools/install.sh uninstall "$(DESTDIR)" "$(PREFIX)" $(FILES)

companion: ## Install what the package NAME has to DESTDIR/PREFIX: it is one of COMPANIONS in units/files.mk
	@internal/tools/install.sh put "$(DESTDIR)" "$(PREFIX)" $(FILES.$(NAME))

package: bin/nfpm ## Make DIST/exile*.deb and DIST/exile*.rpm (dist), with a bill of materials; two runs give the same bytes
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && \
	$(MAKE) -s install BIN="$$work/bin" DESTDIR="$$work/root" PREFIX=/usr && \
	for c in $(COMPANIONS); do $(MAKE) -s companion NAME=$$c BIN="$$work/bin" DESTDIR="$$work/root.$$c" PREFIX=/usr || exit 1; done && \
	internal/tools/package.sh "$(VERSION)" "$$work/root" "$(DIST)" $(COMPANIONS)

dist: bin/nfpm ## Make what a release has in DIST: the source, packages for ARCHES, SHA256SUMS; two runs give the same bytes
	@work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && \
	internal/tools/tarball.sh "$(VERSION)" "$$work" && \
	for arch in $(ARCHES); do GOARCH=$$arch $(MAKE) -s package DIST="$$work" || exit 1; done && \
	(cd "$$work" && sha256sum -- * >SHA256SUMS) && mkdir -p "$(DIST)" && cp "$$work"/* "$(DIST)/"

bin/nfpm: internal/tools/nfpm/go.mod
	cd internal/tools/nfpm && env -u GOOS -u GOARCH $(GO) build -o ../../../bin/ tool

deps: ## Install what the other targets need and is missing, with apt or dnf (as root)
	@internal/tools/deps.sh

clean: ## Remove what was built
	rm -rf bin dist

help: ## Show this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/\1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: all build check lint test foreign e2e newest demo pictures fuzz bench efficacy figures install uninstall companion package dist deps clean help
