# Everything starts from a bare Python 3.11, 3.12 or 3.13: the first command that needs it makes .venv.
# A second run of any target installs nothing; editing pyproject.toml or constraints.txt does.

PYTHON ?= python3
SEEDS ?= 1
BIN := .venv/bin
READY := .venv/.ready
PEERS_READY := .venv/.ready-peers
DOCS_READY := .venv/.ready-docs
ZOO_READY := .venv/.ready-zoo
OLDEST := .venv-oldest

.PHONY: setup zoo tune test test-system test-gpu test-learning test-cluster test-peers test-oldest check coverage docs bench bench-health bench-sweep bench-landscapes bench-panel bench-doctor clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Setting up .venv (once; a few minutes where the network is slow)"
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(None if ok else f"Rungwise needs Python 3.11, 3.12 or 3.13, but {sys.executable} is {sys.version.split()[0]}: call make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv .venv
	@# torch first and pinned: any other order may fetch another build of it.
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch==2.13.0
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(READY)

tune: $(READY)
	@$(BIN)/rungwise tune causal

# Arguments for pytest go into PYTEST_ARGS: make test PYTEST_ARGS="-x --last-failed"
test: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 3 --dist loadfile -m "not (system or slow or gpu)" $(PYTEST_ARGS)

# What takes long: whole runs and what breaks them (killed drivers, trials and services, a full disk), several
# learners and runners, a browser, statistics over many runs.
test-system: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n 3 --dist loadfile -m "system and not slow" $(PYTEST_ARGS)

# On a machine with an NVIDIA GPU; elsewhere every test is skipped. One process: they share the GPU.
test-gpu: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/gpu -m gpu -s -rs

# One seed of each preset; make test-learning SEEDS=3 takes three.
test-learning: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -m slow -s --seeds $(SEEDS)

# Nodes that share nothing, made of namespaces of this machine: as root, with iproute2 and util-linux.
test-cluster: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/cluster/test_namespaces.py -m slow -rs

# Peers are an extra, installed by the first call.
test-peers: $(PEERS_READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest tests/algos/test_peers.py tests/rungwise/callbacks tests/docs/test_health.py

# The default suite with the oldest versions that pyproject.toml allows.
test-oldest: $(OLDEST)/.ready
	@PATH="$(CURDIR)/$(OLDEST)/bin:$$PATH" $(OLDEST)/bin/python -m pytest -n 3 --dist loadfile -m "not (system or slow or gpu)" $(PYTEST_ARGS)

$(OLDEST)/.ready: pyproject.toml constraints-oldest.txt
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/pip install -q --disable-pip-version-check -c constraints-oldest.txt torch==2.13.0
	@$(OLDEST)/bin/pip install -q --disable-pip-version-check -c constraints-oldest.txt -e ".[dev]"
	@touch $(OLDEST)/.ready

# Environments of other packages, which the presets of the zoo train on.
zoo: $(ZOO_READY)

# swig first: Box2D has no wheels, and is built with the one that is on the path.
$(ZOO_READY): $(READY)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt swig
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[zoo]"
	@touch $(ZOO_READY)

# rl_games last and alone: it asks for a psutil below 6, which it never imports.
$(PEERS_READY): $(READY)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[peers]"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt --no-deps rl-games
	@touch $(PEERS_READY)

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell
	@$(BIN)/lint-imports
	@$(BIN)/pyright

# Fails below the floor in pyproject.toml. Processes that tests start are measured, too.
coverage: $(READY)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/coverage run -m pytest -n 2 --dist loadfile -m "not (slow or gpu)"
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report

# HTML in build/docs, whose first page is docs/README.html. A stale table is refreshed by
# .venv/bin/python -m docs.tables. Sphinx is an extra, installed by the first call.
docs: $(DOCS_READY)
	@$(BIN)/python -m docs.tables --check
	@$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees -c docs . build/docs

$(DOCS_READY): $(READY)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[docs]"
	@touch $(DOCS_READY)

# Arguments go into BENCH: make bench BENCH="--only cartpole --full" (five rounds instead of three;
# --help lists the rest).
bench: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.bench $(BENCH)

# Sick and healthy runs, judged while they train. make bench-health BENCH="--only CartPole" (--help
# lists the rest).
bench-health: $(READY)
	@OMP_NUM_THREADS=1 PYTHONPATH=.:tests:tests/support $(BIN)/python -m benchmarks.health_suite $(BENCH)

# 27 settings run in full once, then replayed under each way of stopping. make bench-sweep
# BENCH=--quick takes 9 short ones.
bench-sweep: $(READY)
	@OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(BIN)/python -m benchmarks.sweep $(BENCH)

# Sweeps over learning curves that others have published, on a simulated clock, against other tuners.
# make bench-landscapes BENCH="--data FOLDER --replays 200"
bench-landscapes: $(READY)
	@OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(BIN)/python -m benchmarks.landscapes $(BENCH)

# PPO's defaults on environments that are not ours, against what they must reach. make bench-panel
# BENCH="--only cartpole pendulum --sb3" (--help lists the rest).
bench-panel: $(ZOO_READY)
	@PYTHONPATH=.:tests $(BIN)/python -m benchmarks.panel $(BENCH)

# Logs of other tools, as files, judged by doctor.
bench-doctor: $(READY)
	@OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(BIN)/python -m benchmarks.foreign_suite

clean:
	rm -rf .venv
