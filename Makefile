# How to work here: `make help` lists the targets. Another Python: `make PYTHON=python3.12 demo`.

PYTHON ?= python3
VENV ?= .venv
EXAMPLES ?= 1000
# Many tests wait for processes: three at least, whatever the machine has, and four at most.
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 3); [ $$n -lt 3 ] && n=3; [ $$n -gt 4 ] && n=4; echo $$n)
MINUTES ?= 2
VERSIONS := 3.11 3.12 3.13 3.14

# renovate: datasource=go depName=helm.sh/helm/v4
HELM_VERSION := v4.3.1
# renovate: datasource=go depName=github.com/rhysd/actionlint
ACTIONLINT_VERSION := v1.7.12
# renovate: datasource=go depName=github.com/prometheus/prometheus
PROMTOOL_VERSION := v0.316.0

BIN := $(VENV)/bin
CHART := helm/ci-build-exporter
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test lint format pytest coverage fuzz soak kills test-versions dashboards chart helm actionlint promtool3 test-promtool3 locks test-lowest release-check bench bench-allowance bench-scale bench-page pictures image image-test clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.runs  ## serve the demo on port 10065: a simulator and an exporter reading it, no account, no token
	$(BIN)/ci-build-exporter demo

test: lint pytest  ## check all that CI checks; with CI=true a missing real part (prometheus, node) is a failure

lint: $(VENV)/.develops  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.develops  ## write the files as the style wants them
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

pytest: $(VENV)/.develops tests/node_modules/.installed  ## run the tests alone
	$(BIN)/pytest -n $(WORKERS) --dist=loadfile

coverage: $(VENV)/.develops tests/node_modules/.installed  ## run the tests, and list the lines that none of them runs
	$(BIN)/pytest -n $(WORKERS) --dist=loadfile --cov --cov-report=term-missing:skip-covered

fuzz: $(VENV)/.develops  ## change answers, deliveries, files and requests at random: make fuzz EXAMPLES=10000
	FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -n $(WORKERS) tests/fuzz/test_fuzz.py

soak: $(VENV)/.develops  ## read through random faults for so long: make soak MINUTES=60
	SOAK_MINUTES=$(MINUTES) $(BIN)/pytest --timeout=0 --capture=no tests/fuzz/test_soak.py

kills: $(VENV)/.develops  ## kill the exporter fifty times within five minutes of fast builds, and compare its counters with the simulator's record
	KILLS=50 KILLS_SECONDS=300 $(BIN)/pytest --quiet --capture=no tests/test_kills.py

test-versions:  ## run the tests on each supported Python that is here, and say which are not
	@missing=; for version in $(VERSIONS); do \
	  if python$$version --version >/dev/null 2>&1; then \
	    echo "== Python $$version"; \
	    $(MAKE) --no-print-directory pytest PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else missing="$$missing $$version"; fi; \
	done; \
	if [ -n "$$missing" ]; then echo "not here, so not tested: Python$$missing"; fi

dashboards: $(VENV)/.develops  ## write the JSON of mixin/dashboards from its Python, and mixin/mixin.libsonnet
	$(BIN)/python -m mixin.dashboards
	$(BIN)/python -m mixin.jsonnet

chart: $(VENV)/.develops tests/node_modules/.installed  ## write what the chart has of the rest: rules, dashboards, schema, README's tables
	cp mixin/alerts.yaml mixin/rules.yaml $(CHART)/files/
	$(BIN)/python -m mixin.thresholds >$(CHART)/files/thresholds.yaml
	rm -f $(CHART)/files/dashboards/*.json
	cp mixin/dashboards/*.json $(CHART)/files/dashboards/
	$(BIN)/python -m helm.schema
	tests/node_modules/.bin/readme-generator --values $(CHART)/values.yaml --readme $(CHART)/README.md >/dev/null

helm: $(VENV)/.helm-$(HELM_VERSION)  ## build Helm with Go, for the chart's tests; takes some minutes once

actionlint: $(VENV)/.actionlint-$(ACTIONLINT_VERSION)  ## build actionlint with Go, for the tests of the workflows

promtool3: $(VENV)/.promtool-$(PROMTOOL_VERSION)  ## build the promtool of Prometheus 3 with Go; takes some minutes once

test-promtool3: $(VENV)/.develops promtool3  ## test the alerts and rules with it too
	PROMTOOL=$(CURDIR)/$(BIN)/promtool $(BIN)/pytest --quiet tests/test_mixin.py -k "promtool or cases"

locks: $(VENV)/.releases  ## write locks/*.txt: the exact versions and hashes that the image installs
	cd $(CURDIR) && $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes pyproject.toml -o locks/run.txt
	cd $(CURDIR) && $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes locks/build.in -o locks/build.txt

test-lowest:  ## run the tests with the lowest versions that pyproject.toml allows: make PYTHON=python3.14 test-lowest
	$(MAKE) --no-print-directory .venv-lowest/.lowest PYTHON=$(PYTHON) VENV=.venv-lowest
	.venv-lowest/bin/pytest -n $(WORKERS) --dist=loadfile

release-check: $(VENV)/.releases helm actionlint  ## do all of a release that needs no registry; its artefacts are in dist/
	VENV=$(VENV) .ci/release-check $(TAG)

bench: $(VENV)/.develops  ## write docs/performance.md: speed and memory beside nginx and prometheus-client; wants wrk and nginx; takes some 20 minutes
	$(BIN)/python -m bench.performance --output docs/performance.md

bench-allowance: $(VENV)/.develops  ## write docs/allowance.md: requests and delays of simulated days; takes some minutes
	$(BIN)/python -m bench.allowance --output docs/allowance.md

bench-scale: $(VENV)/.develops  ## how fast 200 targets of a slow provider are read
	$(BIN)/python -m bench.scale

bench-page: $(VENV)/.develops  ## how fast the status page is over 10,000 targets; takes some 2 minutes
	$(BIN)/python -m bench.page

pictures: $(VENV)/.develops tests/node_modules/.installed  ## take the pictures of the status page for docs/
	PICTURES=1 $(BIN)/pytest --quiet tests/test_browser.py -k pictures

image:  ## build the image with docker, podman or buildah: make image IMAGE=… BASE=…
	VENV=$(VENV) IMAGE='$(IMAGE)' BASE='$(BASE)' .ci/image

image-test: $(VENV)/.develops  ## build the image, run it as its user with a read-only root, and scrape its demo
	VENV=$(VENV) BASE='$(BASE)' .ci/image-test

clean:  ## remove what the other targets made
	rm -rf .image .venv .venv-* dist tests/node_modules .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Set-up happens once, and again when pyproject.toml changes.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed, and $(PYTHON) is not one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runs: pyproject.toml | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.develops: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.runs

$(VENV)/.releases: pyproject.toml $(VENV)/.develops
	$(PIP) --editable '.[dev,release]'
	@touch $@

.venv-lowest/.lowest: pyproject.toml
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --no-header --no-annotate --python $(BIN)/python pyproject.toml \
	  -o .venv-lowest/lowest.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --only-binary :all: --requirements .venv-lowest/lowest.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraints .venv-lowest/lowest.txt --editable '.[dev]'
	@touch $@

$(VENV)/.helm-$(HELM_VERSION): | $(BIN)/python
	VENV=$(VENV) .ci/go-install helm.sh/helm/v4/cmd/helm@$(HELM_VERSION)
	@touch $@

$(VENV)/.actionlint-$(ACTIONLINT_VERSION): | $(BIN)/python
	VENV=$(VENV) .ci/go-install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)
	@touch $@

# The tag leaves out the clients of cloud providers, with which the build takes ten times as long.
$(VENV)/.promtool-$(PROMTOOL_VERSION): | $(BIN)/python
	VENV=$(VENV) .ci/go-install github.com/prometheus/prometheus/cmd/promtool@$(PROMTOOL_VERSION) -tags remove_all_sd
	@touch $@

tests/node_modules/.installed: $(wildcard tests/package.json tests/package-lock.json)
	@mkdir -p $(@D)
	@if ! command -v npm >/dev/null; then echo "no npm here: tests with the vendors' own clients are skipped"; \
	elif [ -n "$^" ]; then npm install --prefix tests --no-audit --no-fund && touch $@; fi
