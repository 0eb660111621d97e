# Everything is run through Go: building and testing need nothing else. The tools below
# are built when a target first needs them. The module tools/NAME pins the version and
# the checksums of NAME and of what it is made of; `go get -modfile=tools/NAME/go.mod -tool`
# updates it.
TOOL          := go tool -modfile=$(CURDIR)/tools
BUF           := $(TOOL)/buf/go.mod buf
GOLANGCI_LINT := $(TOOL)/golangci-lint/go.mod golangci-lint
GOVULNCHECK   := $(TOOL)/govulncheck/go.mod govulncheck
ACTIONLINT    := $(TOOL)/actionlint/go.mod actionlint
# The SBOM names its tool by checksum: built like this, that is the same everywhere.
CYCLONEDX     := CGO_ENABLED=0 GOFLAGS=-trimpath $(TOOL)/cyclonedx-gomod/go.mod cyclonedx-gomod

VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo unknown)
BINARY  ?= bin/quash
# What `make breaking` compares with: any git revision.
AGAINST ?= main
# Where `make vulncheck` looks. A copy that is named here, file:///… say, must be there.
GOVULNDB ?= https://vuln.go.dev
# How long `make soak` takes.
DURATION ?= 30m
# Flags of `make bench`: -only cost, say, or -quick, which print their tables only.
BENCH ?= -page docs/performance.md

# The packages with a test for each document that is made from their code; with -update
# it writes the document.
DOCUMENTED := ./service/server ./cmd/quash

# Modules of their own: what they need is not to be needed by quash, or by its importers.
NESTED := deploy bench tools test/e2e

IMPORTS     := .build/proto-imports
DESCRIPTORS := examples/node/quash.json
TWICE       := .build/twice

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: dev
dev: ## Run quash in front of an embedded sandbox of SlashID, on loopback.
	@go run ./cmd/quash dev

.PHONY: test
test: ## Run the tests.
	go test ./...

.PHONY: race
race: ## Run the tests with the race detector, in random order.
	go test -race -shuffle=on ./...

.PHONY: chart
chart: ## Test the Helm chart, the alerts and the dashboard; the alert cases where promtool is installed.
	cd deploy && go test ./...

.PHONY: e2e
e2e: ## Test the built binary from outside: leaks, attacks, restarts, browser, telemetry.
	cd test/e2e && go test -count=1 ./... # go does not know that the tests depend on the binary

.PHONY: examples
examples: ## Test the examples, and the commands of docs/callers.md, with Node and npm.
	cd test/e2e && go test -run '^TestExamples$$' -count=1 -npm

# Built and not run by `go run`, which would leave it running when make is killed.
.PHONY: .build/quash-bench
.build/quash-bench:
	@go build -C bench -o $(CURDIR)/.build/quash-bench .

.PHONY: soak
soak: .build/quash-bench ## Run mixed load and faults for DURATION (30m), and fail on growth and wrong answers.
	.build/quash-bench soak -duration $(DURATION)

.PHONY: bench
bench: build .build/quash-bench ## Compare quash with others that do its work; writes docs/performance.md.
	.build/quash-bench compare $(BENCH)

.PHONY: bench-test
bench-test: ## Test what decides whether soak, load and bench pass, with the race detector.
	cd bench && go test -race -shuffle=on ./...

.PHONY: .build/ghz
.build/ghz:
	@go build -modfile=$(CURDIR)/tools/ghz/go.mod -o $@ github.com/bojand/ghz/cmd/ghz

.PHONY: load
load: .build/quash-bench .build/ghz ## Have ghz make CALLS (20000) calls, CONCURRENCY (64) at a time, and fail unless all tokens are dead.
	.build/quash-bench load $(if $(CALLS),-calls $(CALLS)) $(if $(CONCURRENCY),-concurrency $(CONCURRENCY)) \
		$(if $(CONSISTENCY),-consistency $(CONSISTENCY))

.PHONY: bench-bulk
bench-bulk: .build/quash-bench .build/ghz ## Compare quash revoke with ghz, CALLS (100000) tokens each, ROUNDS (3) times by turns.
	.build/quash-bench load -calls $(or $(CALLS),100000) -bulk $(or $(ROUNDS),3)

.PHONY: build
build: ## Build bin/quash.
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BINARY) ./cmd/quash

# The platforms that a release has binaries for.
PLATFORMS ?= linux/amd64 linux/arm64 darwin/arm64 windows/amd64

.PHONY: dist
dist: ## Build the binaries of a release, their SBOM and their checksums into dist/.
	@rm -rf dist && mkdir dist
	@set -e; for platform in $(PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/}; \
		case $$os in windows) exe=.exe;; *) exe=;; esac; \
		GOOS=$$os GOARCH=$$arch $(MAKE) --no-print-directory build BINARY=dist/quash-$$os-$$arch$$exe; \
	done
	@$(MAKE) --no-print-directory sbom && cp bin/quash.cdx.json dist/
	@cd dist && sha256sum * >SHA256SUMS

.PHONY: sbom
sbom: build ## Write bin/quash.cdx.json, which lists what is linked into bin/quash.
	$(CYCLONEDX) bin -json -std -noserial -notimestamp -version $(VERSION) -output bin/quash.cdx.json bin/quash

.PHONY: image
image: ## Build the container image quash:latest.
	docker build --build-arg VERSION=$(VERSION) -t quash .

.PHONY: lint
lint: ## Check the Go code, the protos and the workflows.
	$(GOLANGCI_LINT) run --allow-parallel-runners
	@set -ex; for module in $(NESTED); do (cd $$module && $(GOLANGCI_LINT) run --allow-parallel-runners); done
	go mod tidy -diff
	@set -ex; for module in $(NESTED); do (cd $$module && go mod tidy -diff); done
	@$(MAKE) --no-print-directory $(IMPORTS)
	$(BUF) lint
	$(BUF) format --diff --exit-code proto
	$(ACTIONLINT) -shellcheck= -pyflakes= # whether or not the machine has them

.PHONY: generate
generate: $(IMPORTS) ## Generate gen/ from proto/, and the descriptors of the Node example.
	@rm -rf .build/gen
	$(BUF) generate proto --output .build/gen
	@rm -rf gen && mv .build/gen/gen gen
	go -C tools run ./descriptors $(CURDIR)/$(DESCRIPTORS)

.PHONY: docs
docs: ## Write the documents that are made from code.
	go test $(DOCUMENTED) -run '^Test.*Doc$$' -count=1 -update

.PHONY: openapi
openapi: ## Check openapi.json with public tools, out of npm: a linter, and the generator of a client.
	cd test/e2e && go test -run '^TestOpenAPITools$$' -count=1 -v -npm

.PHONY: generated
generated: generate ## Fail unless what `make generate` makes is what is committed.
	go -C tools test ./...
	@git diff --exit-code -- gen $(DESCRIPTORS)
	@test -z "$$(git ls-files --others --exclude-standard -- gen $(DESCRIPTORS))"

# The .proto files that ours import, out of the Go modules that the code links.
.PHONY: $(IMPORTS)
$(IMPORTS):
	@rm -rf $@
	@go -C tools run ./imports $(CURDIR)/$@

.PHONY: breaking
breaking: $(IMPORTS) ## Fail if the protos break what callers of AGAINST (main) rely on.
	@rm -rf .build/against && mkdir -p .build/against/$(IMPORTS)
	@git archive $(AGAINST) buf.yaml proto | tar -x -C .build/against
	@cp -R $(IMPORTS)/. .build/against/$(IMPORTS)
	$(BUF) breaking --against .build/against

# govulncheck fails alike for all reasons. So it is first asked how old the database
# is, which it leaves out, without failing, where it cannot reach vuln.go.dev.
.PHONY: vulncheck
vulncheck: ## Fail if the code calls anything that is known to be vulnerable.
	@about=$$($(GOVULNCHECK) -db '$(GOVULNDB)' -version) || exit 1; \
	case "$$about" in \
	*'DB updated: '*) $(GOVULNCHECK) -db '$(GOVULNDB)' ./... ;; \
	*) echo 'vulncheck: SKIPPED: $(GOVULNDB) cannot be reached; nothing was checked' ;; \
	esac

# The second build has a cache of its own, or it would be handed the packages that the
# first one compiled.
.PHONY: reproducible
reproducible: ## Fail unless HEAD gives the same binary in two places.
	@rm -rf $(TWICE)
	@git clone -q . $(TWICE)/here && git clone -q . $(TWICE)/over/there
	@$(MAKE) --no-print-directory -C $(TWICE)/here build
	@GOCACHE=$(CURDIR)/.build/twice-cache $(MAKE) --no-print-directory -C $(TWICE)/over/there build
	@set -e; cd $(TWICE); mv here/bin/quash 1; mv over/there/bin/quash 2; sha256sum 1 2; \
	if cmp -s 1 2; then exit; fi; \
	echo 'reproducible: two builds of HEAD differ, $(TWICE)/1 and 2.'; \
	for n in 1 2; do go version -m $$n | sed 1d >$$n.txt; done; \
	diff 1.txt 2.txt && echo 'Their build information is the same: look for a path or a time in the code.'; \
	exit 1
