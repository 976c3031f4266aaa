# What one does with Glovebox. `make` alone prints this list.

PREFIX ?= /usr/local
DESTDIR ?=
# Where systemd looks for units of this prefix; the state of /usr and /usr/local is the host's own.
UNITS = $(PREFIX)/lib/systemd/system
STATE = $(if $(filter /usr /usr/local,$(PREFIX)),/var/lib/glovebox,$(PREFIX)/var/lib/glovebox)
SCRIPTS := Scripts
# Found when a recipe first needs it, not when make starts.
FIND_SWIFT = swift=$$($(SCRIPTS)/find-swift)
PYTHON ?= /usr/bin/python3
RELEASE = .build/release
FORMATTED = Package.swift Sources Tests Examples Fuzz
SECONDS_EACH ?= 10
export SWIFT

.DEFAULT_GOAL := help

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make install takes PREFIX=$(PREFIX) and DESTDIR="

all: build ## the same as build

build: ## build the release programs, .build/release/glovebox and glovebox-engine
	@$(SCRIPTS)/install-packages build engine
	@$(SCRIPTS)/build-release

demo: ## make a broken instance, look into it, take files out
	@$(SCRIPTS)/install-packages demo
	@$(SCRIPTS)/demo

test: ## run every test: Swift Testing, then pytest over the program
	@$(SCRIPTS)/install-packages test
	@$(SCRIPTS)/run-tests

format: ## format the Swift sources in place
	@$(FIND_SWIFT) && "$$swift" format -i -r -p $(wildcard $(FORMATTED))

format-check: ## fail where a Swift source is not formatted
	@$(FIND_SWIFT) && "$$swift" format lint --strict -r -p $(wildcard $(FORMATTED))
	@echo "format-check: all sources are formatted"

install: ## install the programs (as root, what `make build` made)
	@test -x $(RELEASE)/glovebox -a -x $(RELEASE)/glovebox-engine || \
		$(MAKE) --no-print-directory build
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/libexec/glovebox"
	install -m 0755 $(RELEASE)/glovebox "$(DESTDIR)$(PREFIX)/bin/glovebox"
	install -m 0755 $(RELEASE)/glovebox-engine \
		"$(DESTDIR)$(PREFIX)/libexec/glovebox/glovebox-engine"
	install -d "$(DESTDIR)$(UNITS)"
	sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@STATE@|$(STATE)|g' \
		Packaging/systemd/glovebox-recover.service.in \
		>"$(DESTDIR)$(UNITS)/glovebox-recover.service"
	install -m 0644 Packaging/systemd/glovebox-recover.timer "$(DESTDIR)$(UNITS)"
	@test -n "$(DESTDIR)" -o ! -d /run/systemd/system || \
		echo "Now: systemctl daemon-reload && systemctl enable --now glovebox-recover.timer"

uninstall: ## remove what `make install` installed
	rm -f "$(DESTDIR)$(PREFIX)/bin/glovebox" \
		"$(DESTDIR)$(PREFIX)/libexec/glovebox/glovebox-engine" \
		"$(DESTDIR)$(UNITS)/glovebox-recover.service" "$(DESTDIR)$(UNITS)/glovebox-recover.timer"
	-rmdir "$(DESTDIR)$(PREFIX)/libexec/glovebox" 2>/dev/null

soak: build ## the tests that take long: every truncation, many more random corruptions
	@$(SCRIPTS)/install-packages test
	@$(FIND_SWIFT) && "$$swift" build --build-tests && \
		GLOVEBOX_SOAK=1 "$$swift" test --skip-build --filter truncat
	@GLOVEBOX_SOAK=1 $(PYTHON) -m pytest -q Tests/Integration

bench: build ## measure against the peers (Benchmarks/README.md)
	@$(SCRIPTS)/install-packages bench
	@Benchmarks/run

bench-pause: build ## measure for how long a guest is paused (root; starts one in a lab)
	@$(SCRIPTS)/install-packages bench
	@Benchmarks/pause

fuzz: ## run each fuzz target for SECONDS_EACH seconds
	@$(SCRIPTS)/install-packages build test
	@SECONDS_EACH=$(SECONDS_EACH) Fuzz/run

fixtures-table: build ## compare with foreign tools on every fixture; writes docs/fixtures.md
	@$(SCRIPTS)/install-packages test
	@Fixtures/compare

fsck-table: build ## check damaged file systems beside their own checkers; writes docs/fsck.md
	@$(SCRIPTS)/install-packages test
	@Fixtures/fsck/table

custody-matrix: build ## kill custody of live instances at every point; writes docs/custody-matrix.md
	@$(SCRIPTS)/install-packages test
	@$(FIND_SWIFT) && "$$swift" build --product custody-engine
	@GLOVEBOX_WRITE_MATRIX=1 $(PYTHON) -m pytest -q Tests/Integration/test_kill_matrix.py

clean: ## remove everything that was built
	rm -rf .build

.PHONY: help all build demo test format format-check install uninstall soak bench bench-pause fuzz \
	fixtures-table fsck-table custody-matrix clean
