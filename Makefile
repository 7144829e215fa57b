# Every target sets up .venv by itself, from a cache of wheels (.ci/set_up.py), and then works offline.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo-out
TESTS ?= tests
# Processes that share the tests; torch gets one thread in each.
WORKERS ?= 2
SET_UP := pyproject.toml .ci/constraints.txt .ci/set_up.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types layers docs bench bench-simulate bench-train bench-dicom bench-infer format clean

help: ## Show these lines.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: .venv/set-up-dev ## Make .venv with everything for work on the code.

.venv/set-up-%: $(SET_UP)
	@$(PYTHON) .ci/set_up.py $*

demo: .venv/set-up-report ## Run the whole chain on a phantom; the result is in demo-out.
	$(BIN)/ctdenoise demo --out $(OUT)

test: .venv/set-up-dev ## Run the test suite (TESTS=tests/unit for a part of it).
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

check: lint types layers test docs ## Everything that must pass before a change is handed in.

lint: .venv/set-up-dev ## Format and lint.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/set-up-dev ## Check the types.
	$(BIN)/mypy

layers: .venv/set-up-dev ## Check that imports go down the layers only.
	$(BIN)/lint-imports --no-cache

docs: .venv/set-up-dev ## Build the documentation into docs/_build/html; a warning is an error.
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "The documentation is in docs/_build/html/index.html"

bench: .venv/set-up-dev ## Time the work (tests/perf/bench_*.py); takes minutes.
	@set -e; for bench in tests/perf/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench; done

bench-simulate: .venv/set-up-dev ## Time the simulator against other libraries; fetches ASTRA if it can.
	@$(BIN)/pip install -q "astra-toolbox==2.5.0" || echo "ASTRA cannot be installed here; it is left out."
	$(BIN)/python tests/perf/bench_simulator.py
	$(BIN)/python tests/perf/bench_simulate_run.py

# Threads that networks are trained with; the data path has one.
THREADS ?= 1

bench-train: .venv/set-up-dev ## Time the data path of training against networks and MONAI (THREADS="1 2").
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/perf/bench_train.py --threads $(THREADS)

# itk and dicom2nifti go into an environment of their own, which sees ours behind its own packages.
PEERS := .bench/dicom-peers
PACKAGES := -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

bench-dicom: .venv/set-up-dev ## Read odd studies with eight DICOM readers; fetches two of them if it can.
	@test -x $(PEERS)/bin/python || $(BIN)/python -m venv $(PEERS)
	@$(BIN)/python $(PACKAGES) > "$$($(PEERS)/bin/python $(PACKAGES))/ctdenoise-environment.pth"
	@$(PEERS)/bin/pip install -q "itk==5.4.7" "dicom2nifti==2.6.2" \
		|| echo "itk and dicom2nifti cannot be installed here; they are left out."
	$(BIN)/python tests/perf/bench_dicom.py

# ldct-benchmark would bring wandb, pandas and torchvision: only its networks are needed.
INFER_PEERS := .bench/infer-peers
# Slices of the studies that go from folder to folder, and what denoises them.
SLICES ?= 300
MODEL ?= identity

bench-infer: .venv/set-up-dev ## Time denoisers against other programs, then whole studies (SLICES="300 1000").
	@test -x $(INFER_PEERS)/bin/python || $(BIN)/python -m venv $(INFER_PEERS)
	@$(BIN)/python $(PACKAGES) > "$$($(INFER_PEERS)/bin/python $(PACKAGES))/ctdenoise-environment.pth"
	@$(INFER_PEERS)/bin/pip install -q "onnxruntime==1.31.1" "onnx==1.23.2" "bm3d==4.0.3" \
		|| echo "ONNX Runtime and BM3D cannot be installed here; they are left out."
	@$(INFER_PEERS)/bin/pip install -q --no-deps "ldct-benchmark==0.0.15" \
		|| echo "ldct-benchmark cannot be installed here; it is left out."
	PYTHONPATH=. $(INFER_PEERS)/bin/python tests/perf/bench_infer.py
	$(BIN)/python tests/perf/bench_infer_overlap.py --slices $(SLICES) --model $(MODEL)

format: .venv/set-up-dev ## Rewrite the code in the house format.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what was made here; the cache of wheels stays.
	rm -rf .venv build dist docs/_build demo-out .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
