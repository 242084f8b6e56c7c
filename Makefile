# Two commands matter: `make demo` shows Emberline at work, `make test` checks everything.
# `make help` lists the others. Needs GNU make and Python 3.11 or newer; everything else goes into .venv.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
TORCH   := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
PIP     := $(BIN)/python -m pip --disable-pip-version-check install --quiet
OUT     ?= demo
WORKERS ?= auto
# Many tests kill processes, serve pages and drive a browser, on machines that may be busy: what fails is tried again,
# and the summary lists it.
AGAIN   ?= --reruns 2 --reruns-delay 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs benchmarks picture constraints clean distclean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/.installed ## install, then search a simulated survey; results in demo/
	@$(BIN)/emberline demo --out $(OUT)

test: lint docs ## all checks: style, types, documents, the whole test suite
	@echo "== tests"
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -q -n $(WORKERS) $(AGAIN)

lint: $(VENV)/.developing ## style (ruff) and types (mypy --strict)
	@echo "== style"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@echo "== types"
	@$(BIN)/mypy --strict src

docs: $(VENV)/.developing ## the documents as web pages, in docs/_build/html
	@echo "== documents"
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "   docs/_build/html/index.html"

benchmarks: $(VENV)/.developing ## measure what the documents claim (an hour or two)
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

picture: $(VENV)/.developing ## draw the picture in README.md again
	@$(BIN)/python docs/_static/draw_picture.py

constraints: $(VENV)/.developing ## pin what is installed in .venv now
	@{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m pip freeze --exclude-editable \
	  | sed -E '/^(nvidia|cuda|triton)/d; /^#/d; s/^(torch==[0-9.]+)\+.*/\1/'; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove what was built, keep the environment
	@rm -rf build dist docs/_build docs/reference/_generated .mypy_cache .ruff_cache .pytest_cache .hypothesis

distclean: clean ## remove the environment and the demo too
	@rm -rf $(VENV) demo

# PyTorch goes in first and by its exact version: left to the resolver, it may fetch gigabytes of GPU libraries
# before it learns which version is wanted.
$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Emberline needs Python 3.11 or newer; say which: make PYTHON=python3.12 …" >&2; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 \
	  || { echo "== making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "== installing PyTorch ($(TORCH))"
	@$(PIP) -c constraints.txt "$(TORCH)"
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml constraints.txt
	@echo "== installing Emberline"
	@$(PIP) -c constraints.txt -e '.[openvino,web,vo]'
	@touch $@

$(VENV)/.developing: $(VENV)/.torch pyproject.toml constraints.txt
	@echo "== installing Emberline and the tools of its developers"
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed
