# Everything that is done to this repository is a target here; `make` lists them.
# Longer recipes are scripts in tools/.

SHELL := /bin/bash
.DEFAULT_GOAL := help

FUZZTIME ?= 30s
SOAKTIME ?= 10m
# A version from the tag and commit comes by Go's own build information; a release states it.
GO_BUILD = CGO_ENABLED=0 go build -trimpath $(RELEASE_FLAGS) -ldflags '-s -w $(RELEASE_LDFLAGS)'

# Of a release, see docs/release.md. The same names in the environment would leak in.
RELEASE_FLAGS :=
RELEASE_LDFLAGS :=
DIST ?= dist
VERSION ?= $(patsubst v%,%,$(or $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null),0.0.0-dev))
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/gatepass and bin/gatepassctl, both static
	$(GO_BUILD) -o bin/ ./cmd/gatepass ./cmd/gatepassctl

.PHONY: test
test: ## run all tests; first installs what they need, where it can
	@tools/install.sh test
	go test -timeout 15m ./...

.PHONY: race
race: ## run all tests with the race detector (needs a C compiler)
	@tools/install.sh test race
	CGO_ENABLED=1 go test -race -timeout 25m ./...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s) each
	@tools/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, deadcode, govulncheck, shellcheck, cfn-lint, hadolint, yamllint
	@tools/install.sh lint
	@tools/lint.sh

.PHONY: tools
tools: ## install what tests and checks need: as root on Debian by apt-get, else say what
	@tools/install.sh
	go build -modfile=tools/go.mod -o /dev/null tool

.PHONY: pipe
pipe: ## build the image of the Bitbucket pipe, for both architectures: dist/gatepass-pipe.oci.tar
pipe: RELEASE_FLAGS := -buildvcs=false
pipe: RELEASE_LDFLAGS := -X github.com/gatepass-ci/gatepass/internal/cli.version=$(VERSION)
pipe:
	@tools/pipe.sh $(DIST) $(GO_BUILD)

.PHONY: demo
demo: build ## show a join from end to end on this machine, without an AWS account; first installs OpenSSH, where it can
	@tools/install.sh demo
	bin/gatepassctl demo

.PHONY: deploy
deploy: ## build the functions and deploy the stack that samconfig.toml names; DEPLOY= takes more of sam deploy's flags
	@tools/deploy.sh $(DEPLOY)

.PHONY: bench
bench: ## measure Gatepass on this machine, in some minutes; BENCH= takes flags and parts, see docs/development.md
	@tools/install.sh test >&2
	@go run ./test/bench $(BENCH)

.PHONY: soak
soak: ## inject faults into the running service for SOAKTIME (10m), then compare what clients got with what is stored
	@tools/install.sh test
	GATEPASS_SOAK=$(SOAKTIME) go test -count=1 -v -parallel 3 -timeout 0 ./test/soak

.PHONY: generate
generate: ## write the files that are committed and made from others: the packed orb, the JSON Schemas, the field tables of docs/rules.md
	go run ./ci/circleci-orb/pack ci/circleci-orb/src > ci/circleci-orb/orb.yml
	go build -o bin/ ./cmd/gatepassctl
	bin/gatepassctl schema > docs/schema/gatepass.schema.json
	bin/gatepassctl schema --cases > docs/schema/gatepass-cases.schema.json
	go test ./internal/ctl/resources -run TestFieldTables -update

.PHONY: release
release: ## build dist/, a release of VERSION: both commands, SBOMs, pipe, orb, licences, provenance, checksums; sign it if there are keys
	rm -rf $(DIST)
	$(MAKE) clients admins
	$(MAKE) sboms
	$(MAKE) orb
	$(MAKE) pipe
	$(MAKE) lists
	@if [[ -n "$${RELEASE_MINISIGN_KEY:-}$${RELEASE_ECDSA_KEY:-}" ]]; then tools/release.sh sign $(DIST) $(VERSION); \
	else echo 'release: UNSIGNED: RELEASE_MINISIGN_KEY and RELEASE_ECDSA_KEY name no keys (docs/release.md)' >&2; fi

# What a release says of its files: under which licences, built from what, and their checksums.
.PHONY: lists
lists:
	cp LICENSE THIRD_PARTY.txt THIRD_PARTY_CLIENT.txt $(DIST)
	tools/release.sh provenance $(DIST) $(VERSION)
	tools/release.sh sums $(DIST)

.PHONY: orb
orb: clients ## pack dist/orb.yml, the CircleCI orb with the checksums of dist/'s clients
	tools/release.sh orb $(DIST) $(VERSION)

.PHONY: pin-orb
pin-orb: clients ## write VERSION and its checksums into the committed orb, before VERSION is tagged
	tools/release.sh pin $(DIST) $(VERSION)

# Both commands for each platform, the same bytes wherever this version is built.
programs := $(PLATFORMS:%=client/%) $(PLATFORMS:%=admin/%)
.PHONY: clients admins sboms $(programs)
clients: $(PLATFORMS:%=client/%)
admins: $(PLATFORMS:%=admin/%)
$(programs): RELEASE_FLAGS := -buildvcs=false
$(programs): RELEASE_LDFLAGS := -X github.com/gatepass-ci/gatepass/internal/cli.version=$(VERSION)
# What go build would take from the environment.
$(programs) pipe: export GOFLAGS :=
# A release links the standard library that `make lint` checked, whatever Go builds it.
$(programs) pipe: export GOTOOLCHAIN := $(shell sed -n 's/^toolchain //p' go.mod)
$(programs) pipe: export GOEXPERIMENT :=
$(programs) pipe: export GOAMD64 := v1
$(programs) pipe: export GOARM64 := v8.0
$(PLATFORMS:%=client/%): client/%:
	GOOS=$(*D) GOARCH=$(*F) $(GO_BUILD) -o $(DIST)/gatepass_$(VERSION)_$(*D)_$(*F) ./cmd/gatepass
$(PLATFORMS:%=admin/%): admin/%:
	GOOS=$(*D) GOARCH=$(*F) $(GO_BUILD) -o $(DIST)/gatepassctl_$(VERSION)_$(*D)_$(*F) ./cmd/gatepassctl
sboms: clients
	tools/release.sh sboms $(DIST) $(VERSION)

.PHONY: deps
deps: ## list the modules that are linked, check their sums and that go.mod is tidy
	@tools/deps.sh

.PHONY: vulndb
vulndb: ## pin the newest vulnerability database for make lint
	@tools/vulndb.sh newest

.PHONY: clean
clean: ## remove what make has built, and tools that it has downloaded
	rm -rf bin dist .tools .aws-sam
