# Everything runs on a fresh Debian 12 or 13 with git, make and apt; the first call sets up what is missing.
.DEFAULT_GOAL := help
ifneq (,$(findstring i,$(firstword -$(MAKEFLAGS))))
$(error with -i, what fails would pass for a success: unset MAKEFLAGS)
endif
MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python
# Options of tests/suite: `make test SUITE='--only rest'`, `make lab SUITE='--only xen -- -k rebind'`.
SUITE :=

.PHONY: help setup demo test test-full lab lab-full check mutants format bench man guest clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: ## install what is missing: Debian packages, .venv, and what tests use in ~/.cache/virtnetplug
	@contrib/setup test

demo: ## boot a small VM and attach, list, update and detach NICs while it runs
	@contrib/setup demo
	@env -u PYTHONPATH -u PYTHONHOME .venv/bin/virtnetplug demo

check: ## format, lint, types, the unit tests and the contract suite on the fake host: a minute
	@contrib/setup test
	@tests/suite check $(SUITE)

test: ## every test that needs no lab, on real QEMU and libvirt, in namespaces of its own
	@contrib/setup test
	@tests/suite test $(SUITE)

test-full: ## the same, with real QEMU broken at every call, and 100 rebinds
	@contrib/setup test
	@tests/suite test-full $(SUITE)

lab: ## real SR-IOV and real Xen, in emulated hosts: the quick suites (as root; the first call also builds the images)
	@contrib/setup lab
	@tests/suite lab $(SUITE)

lab-full: ## the same, and their long tests: every world broken, 200 cycles, …
	@contrib/setup lab
	@tests/suite lab-full $(SUITE)

mutants: ## put faults into the package, one at a time: a test of make check must fail with each
	@contrib/setup test
	@$(PYTHON) -E -m tests.mutants

format: ## put the code into its format
	@contrib/setup test
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench: ## speed, side by side with libvirt-python, virsh and virt-xml
	@contrib/setup test
	@contrib/bench/run

man: ## write the man pages into build/man
	@contrib/setup demo
	@.venv/bin/virtnetplug man --output build/man

guest: ## assemble the test guest anew and write it into virtnetplug/demo/guest.py
	@contrib/guest/build

clean: ## remove what was built, the virtual environment too
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
