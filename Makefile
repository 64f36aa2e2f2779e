PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OPENCV := $(shell grep '^opencv-python-headless==' constraints.txt)

.PHONY: venv demo test check bench fuzz clean

venv: $(STAMP)

# rapidocr asks for opencv-python, whose Qt build needs libGL; the headless build of the same version is laid over it,
# so that `import cv2` works on a bare server.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall $(OPENCV)
	touch $@

demo: venv
	$(BIN)/cxr-audit demo

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow and not real and not browser and not postgres" -n 2 --dist loadfile

# Files stay in their order: by default those with few tests, the longest of all, would come last and alone.
test: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: venv
	$(BIN)/python -m tests.bench

fuzz: venv
	$(BIN)/python -W ignore -m tests.fuzz --count 10000

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist build
