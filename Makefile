# Everything runs on a fresh Debian 12 with git, make and apt; the first call sets up what is missing.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python
LAB := all
LABS := sriov xen
LONG := $(addprefix VIRTNETPLUG_LAB_,EVERY=1 CYCLES=200 ROUNDS=20 REBIND_EVERY=10)

# The tests of the lab, or with "all" of every one. Which, seconds for one lab, seconds for one test, the environment.
in_lab = contrib/lab/lab run $(1) --timeout $(2) -- env VIRTNETPLUG_NO_SKIP=$(VIRTNETPLUG_NO_SKIP) $(4) \
    python3 -m pytest -v --timeout=$(3) tests/lab tests/lab_xen

# Long enough to be worth running beside the rest of what needs libvirtd.
REFUSED := tests/real/test_bad_input.py
pytest := tests/namespace $(PYTHON) -m pytest

.PHONY: help setup demo test lab lab-full check format bench man guest clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: ## install what is missing: Debian packages, and a virtual environment in .venv
	@contrib/setup test

demo: ## boot a small VM and attach, list, update and detach NICs while it runs
	@contrib/setup demo
	@.venv/bin/virtnetplug demo

test: ## every test, in namespaces of its own; those of libvirt's driver also on the embedded one, at the same time
	@contrib/setup test
	@status=0; mkdir -p build; \
	( for part in --driver=embedded --part=rest $(REFUSED); do $(pytest) $$part || status=1; done; exit $$status ) \
	    >build/test-beside.log 2>&1 & beside=$$!; \
	$(pytest) --part=driver --ignore=$(REFUSED) || status=1; \
	wait $$beside || status=1; \
	echo "== beside: on the embedded driver, what depends on none, what is refused"; cat build/test-beside.log; \
	exit $$status

lab: ## real SR-IOV and real Xen, in emulated hosts: the quick suites (as root; the first call also builds the images)
	@contrib/setup lab
	@$(call in_lab,$(LAB),4200,1500)

lab-full: ## the same, and their long tests: every step broken, 200 cycles, … (an hour and more)
	@contrib/setup lab
	@status=0; for lab in $(LABS); do $(call in_lab,$$lab,14400,7200,$(LONG)) || status=1; done; exit $$status

check: ## format, lint, types and the fast tests
	@contrib/setup test
	@.venv/bin/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@$(PYTHON) -m pytest -q tests/unit

format: ## put the code into its format
	@contrib/setup test
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

bench: ## speed, side by side with libvirt-python, virsh and virt-xml
	@contrib/setup test
	@tests/namespace contrib/bench/run

man: ## write the man pages into build/man
	@contrib/setup demo
	@.venv/bin/virtnetplug man --output build/man

guest: ## assemble the test guest anew and write it into virtnetplug/demo/guest.py
	@contrib/guest/build

clean: ## remove what was built, the virtual environment too
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
