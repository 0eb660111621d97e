# Building and testing need only Go. The tools below are built when a target first needs
# them. The module tools/NAME pins the version and the checksums of NAME and of its
# dependencies; `go get -modfile=tools/NAME/go.mod -tool` updates it.
TOOL          := go tool -modfile=$(CURDIR)/tools
BUF           := $(TOOL)/buf/go.mod buf
GOLANGCI_LINT := $(TOOL)/golangci-lint/go.mod golangci-lint
GOVULNCHECK   := $(TOOL)/govulncheck/go.mod govulncheck
ACTIONLINT    := $(TOOL)/actionlint/go.mod actionlint
# The SBOM contains the checksum of the tool. These flags make it the same on every machine.
CYCLONEDX     := CGO_ENABLED=0 GOFLAGS=-trimpath $(TOOL)/cyclonedx-gomod/go.mod cyclonedx-gomod

VERSION ?= $(shell git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo unknown)
BINARY  ?= bin/quash
# The git revision that `make breaking` compares with.
AGAINST ?= main
# The vulnerability database for `make vulncheck`: https://…, or a local copy, file:///…, which
# must exist.
GOVULNDB ?= https://vuln.go.dev
# Duration of `make soak`.
DURATION ?= 30m
# Flags of `make bench`. With -only (such as -only cost) or -quick it prints tables and writes
# no file.
BENCH ?= -page docs/performance.md

# The packages whose tests generate documents: without -update a test compares, with -update
# it writes the document.
DOCUMENTED := ./service/server ./cmd/quash

# Nested modules. They keep their dependencies out of quash and of its importers.
NESTED := deploy bench tools test/e2e

IMPORTS     := .build/proto-imports
DESCRIPTORS := examples/node/quash.json examples/python/quash.json
TWICE       := .build/twice

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: dev
dev: ## Run quash in front of an embedded sandbox of SlashID, on loopback.
	@go run ./cmd/quash dev

.PHONY: test
test: ## Run the tests of the main module.
	go test ./...

.PHONY: race
race: ## Run the tests with the race detector, in random order.
	go test -race -shuffle=on ./...

.PHONY: chart
chart: ## Test the Helm chart, the alerts and the dashboard. The alert cases need promtool.
	cd deploy && go test ./...

.PHONY: e2e
e2e: ## Run the end-to-end tests of the binary: leaks, attacks, restarts, browser, telemetry.
	cd test/e2e && go test -count=1 ./... # a cached result could be from another binary

.PHONY: examples
examples: ## Test the examples and the commands in docs/callers.md. Needs Node, npm and Python with grpcio.
	cd test/e2e && go test -run '^TestExamples$$' -count=1 -v -npm

# Built, because `go run` would leave it running when make is killed.
.PHONY: .build/quash-bench
.build/quash-bench:
	@go build -C bench -o $(CURDIR)/.build/quash-bench .
	@go build -C bench -o $(CURDIR)/.build/usual-parts ./usual

.PHONY: soak
soak: .build/quash-bench ## Run mixed load and faults for DURATION (30m). Fail if resources grow or answers are wrong.
	.build/quash-bench soak -duration $(DURATION)

.PHONY: bench
bench: build .build/quash-bench .build/ghz ## Benchmark quash against alternatives and write docs/performance.md.
	.build/quash-bench compare $(BENCH)

.PHONY: bench-test
bench-test: ## Test the module bench with the race detector.
	cd bench && go test -race -shuffle=on ./...

.PHONY: .build/ghz
.build/ghz:
	@go build -modfile=$(CURDIR)/tools/ghz/go.mod -o $@ github.com/bojand/ghz/cmd/ghz

.PHONY: load
load: .build/quash-bench .build/ghz ## Make CALLS (20000) calls with ghz, CONCURRENCY (64) at a time. Fail unless every token is revoked.
	.build/quash-bench load $(if $(CALLS),-calls $(CALLS)) $(if $(CONCURRENCY),-concurrency $(CONCURRENCY)) \
		$(if $(CONSISTENCY),-consistency $(CONSISTENCY))

.PHONY: build
build: ## Build bin/quash.
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BINARY) ./cmd/quash

# The platforms of a release's binaries.
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
sbom: build ## Write an SBOM of bin/quash to bin/quash.cdx.json.
	$(CYCLONEDX) bin -json -std -noserial -notimestamp -version $(VERSION) -output bin/quash.cdx.json bin/quash

.PHONY: image
image: ## Build the container image quash:latest.
	docker build --build-arg VERSION=$(VERSION) -t quash .

.PHONY: lint
lint: ## Lint the Go code, the protos and the workflows.
	$(GOLANGCI_LINT) run --allow-parallel-runners
	@set -ex; for module in $(NESTED); do (cd $$module && $(GOLANGCI_LINT) run --allow-parallel-runners); done
	go mod tidy -diff
	@set -ex; for module in $(NESTED); do (cd $$module && go mod tidy -diff); done
	@$(MAKE) --no-print-directory $(IMPORTS)
	$(BUF) lint
	$(BUF) format --diff --exit-code proto
	$(ACTIONLINT) -shellcheck= -pyflakes= # the result must not depend on what is installed

.PHONY: generate
generate: $(IMPORTS) ## Generate gen/ and the descriptors of the Node and Python examples from proto/.
	@rm -rf .build/gen
	$(BUF) generate proto --output .build/gen
	@rm -rf gen && mv .build/gen/gen gen
	go -C tools run ./descriptors $(addprefix $(CURDIR)/,$(DESCRIPTORS))

.PHONY: docs
docs: ## Generate docs/outcomes.md and docs/reference/ from the code.
	go test $(DOCUMENTED) -run '^Test.*Doc$$' -count=1 -update

.PHONY: openapi
openapi: ## Check openapi.json with a linter and a client generator from npm.
	cd test/e2e && go test -run '^TestOpenAPITools$$' -count=1 -v -npm

.PHONY: generated
generated: generate ## Fail if the committed generated files are out of date.
	go -C tools test ./...
	@git diff --exit-code -- gen $(DESCRIPTORS)
	@test -z "$$(git ls-files --others --exclude-standard -- gen $(DESCRIPTORS))"

# The imported .proto files, extracted from the Go modules that the code links.
.PHONY: $(IMPORTS)
$(IMPORTS):
	@rm -rf $@
	@go -C tools run ./imports $(CURDIR)/$@

.PHONY: breaking
breaking: $(IMPORTS) ## Fail if the protos are incompatible with those of AGAINST (main).
	@rm -rf .build/against && mkdir -p .build/against/$(IMPORTS)
	@git archive $(AGAINST) buf.yaml proto | tar -x -C .build/against
	@cp -R $(IMPORTS)/. .build/against/$(IMPORTS)
	$(BUF) breaking --against .build/against

# govulncheck exits with the same status for every error. To tell an unreachable server from a
# vulnerability, first ask for the age of the database: if the server is unreachable, -version
# omits the age and succeeds.
.PHONY: vulncheck
vulncheck: ## Fail if the code calls functions with known vulnerabilities.
	@about=$$($(GOVULNCHECK) -db '$(GOVULNDB)' -version) || exit 1; \
	case "$$about" in \
	*'DB updated: '*) $(GOVULNCHECK) -db '$(GOVULNDB)' ./... ;; \
	*) echo 'vulncheck: SKIPPED: $(GOVULNDB) is unreachable; nothing was checked' ;; \
	esac

# The second build has its own cache, because otherwise it would reuse the packages that the
# first build compiled.
.PHONY: reproducible
reproducible: ## Fail unless two builds of HEAD in different directories are identical.
	@rm -rf $(TWICE)
	@git clone -q . $(TWICE)/here && git clone -q . $(TWICE)/over/there
	@$(MAKE) --no-print-directory -C $(TWICE)/here build
	@GOCACHE=$(CURDIR)/.build/twice-cache $(MAKE) --no-print-directory -C $(TWICE)/over/there build
	@set -e; cd $(TWICE); mv here/bin/quash 1; mv over/there/bin/quash 2; sha256sum 1 2; \
	if cmp -s 1 2; then exit; fi; \
	echo 'reproducible: two builds of HEAD differ: $(TWICE)/1 and $(TWICE)/2.'; \
	for n in 1 2; do go version -m $$n | sed 1d >$$n.txt; done; \
	diff 1.txt 2.txt && echo 'Their build information is the same: look for a path or a time in the code.'; \
	exit 1
