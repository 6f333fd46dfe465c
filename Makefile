# The one entrance. Each target first prepares what it needs on a fresh Debian machine; `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

# Choose the interpreter with `make PYTHON=/usr/bin/python3.12 ...`; by default the first that serves.
export PYTHON
# An ordinary user's PATH lacks /usr/sbin, where Debian keeps routers.
export PATH := $(CURDIR)/.venv/bin:$(PATH):$(CURDIR)/build/ansible/bin:/usr/sbin:/sbin

# The environment is current when a stamp with the hash of its recipe exists. Contents, not times: a checkout
# of another branch changes times.
RECIPE := $(shell { echo '$(PYTHON)'; cat requirements/base.txt requirements/dev.txt pyproject.toml; } | sha256sum | cut -c1-16)
BASE := .venv/base-$(RECIPE)
DEV := .venv/dev-$(RECIPE)
# Ansible and what checks it has an environment of its own: nothing of it runs beside our code.
ANSIBLE := build/ansible/ready-$(shell sha256sum requirements/ansible.txt | cut -c1-16)
BENCH := .venv/bench-$(RECIPE)-$(shell sha256sum requirements/bench.txt | cut -c1-8)

SCENARIO ?= overload
FAST := $(wildcard tests/unit tests/sim tests/model tests/vectors)
# These measure time on a real kernel, so they run after the others, and one at a time.
REAL := $(wildcard tests/lab tests/interop)
# Nobody but root can boot machines.
ifeq ($(shell id -u),0)
REAL += tests/provision
BOOTED := programs-provision $(ANSIBLE)
endif
SPHINX := sphinx-build -W --keep-going -n -q -b html docs build/docs

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(DEV) programs-lab programs-test ## Prepare this machine for everything below

.PHONY: lab
lab: $(BASE) programs-lab ## Run the lab's scenario (SCENARIO=overload, ARGS='--fault no-withdraw')
	@edgectl lab run $(SCENARIO) $(ARGS)

.PHONY: unit
unit: $(DEV) ## Run the tests that need no kernel: about two minutes
	@pytest -n auto $(FAST) $(ARGS)

.PHONY: test
test: $(DEV) programs-lab programs-test $(BOOTED) ## Run every test; as root, those on booted machines, too
	@pytest -n auto $(FAST) tests/packaging tests/terraform $(ARGS)
	@pytest $(REAL) $(ARGS)

.PHONY: provision-test
provision-test: $(DEV) $(ANSIBLE) programs-provision ## Provision booted machines and run a fleet on them (root)
	@pytest tests/provision $(ARGS)

.PHONY: long
long: $(DEV) programs-lab ## Play the longer stories, and see that each check can fail: about ten minutes
	@pytest -m long tests/lab $(ARGS)

.PHONY: check
check: $(DEV) $(ANSIBLE) ## Check format, lint, types, import rules, spelling, documentation and roles
	ruff format --check
	ruff check
	mypy
	mypy --scripts-are-modules ansible/roles/edge/files/edge-release
	lint-imports
	codespell
	$(SPHINX)
	cd ansible && PATH="$(CURDIR)/build/ansible/bin:$$PATH" ansible-lint --offline --profile production -q

.PHONY: bench
bench: $(BENCH) programs-lab programs-bench ## Measure, beside peers in the same run (ARGS='cid', ARGS='--quick voice')
	@python tests/bench/run.py $(ARGS)

.PHONY: release
release: $(BASE) ## Make a release of this commit for nodes: build/release
	@python -m edge.fleet.release

.PHONY: deb
deb: release $(ANSIBLE) ## The same as a Debian package
	@version=$$(python -c 'import edge; print(edge.__version__)'); \
	sed "s/@VERSION@/$$version/" ansible/release/postinst.in >build/release/postinst; \
	VERSION=$$version DEB_ARCH=$$(dpkg --print-architecture) build/ansible/bin/nfpm package \
		--config ansible/release/nfpm.yaml --packager deb --target build/release

.PHONY: docs
docs: $(DEV) ## Build the documentation into build/docs
	@$(SPHINX)
	@echo "build/docs/index.html"

.PHONY: lock
lock: $(BASE) ## Choose versions anew and write the lock files
	@test -x build/lock/bin/uv || { python -m venv build/lock && build/lock/bin/pip install --quiet uv; }
	@compile=(build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --excludes requirements/excluded.in \
		pyproject.toml requirements/build.in); \
	"$${compile[@]}" --output-file requirements/base.txt --extra demo; \
	"$${compile[@]}" --output-file requirements/dev.txt --constraint requirements/base.txt \
		--extra simulate --extra demo --extra dashboards --extra test --extra check --extra docs; \
	"$${compile[@]}" --output-file requirements/bench.txt --constraint requirements/dev.txt \
		--extra bench --extra simulate --extra demo --extra dashboards --extra test --extra check --extra docs; \
	python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["ansible"], sep="\n")' | \
		build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate - --output-file requirements/ansible.txt

.PHONY: refresh-schemas
refresh-schemas: $(DEV) ## Write the schemas of Terraform's providers anew (needs terraform and its registry)
	@PYTHONPATH=tests python -m terraform.refresh

.PHONY: clean
clean: ## Remove what was built (the environment stays; it is .venv)
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: programs-lab programs-test programs-bench programs-provision
programs-lab programs-test programs-bench programs-provision:
	@requirements/setup.sh debian $(@:programs-%=%)

# A larger environment contains the smaller ones at the same versions.
$(BENCH):
	@requirements/setup.sh python requirements/bench.txt $@ pesq
	@touch $(DEV) $(BASE)

$(ANSIBLE): requirements/ansible.txt
	@python3 -m venv --clear build/ansible
	@build/ansible/bin/pip --disable-pip-version-check --no-input --quiet install --only-binary :all: --no-deps \
		--require-hashes --requirement requirements/ansible.txt
	@touch $@

$(DEV):
	@requirements/setup.sh python requirements/dev.txt $@
	@touch $(BASE)

$(BASE):
	@requirements/setup.sh python requirements/base.txt $@
