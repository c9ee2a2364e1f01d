# make quickstart   set up .venv and run the main job on data that comes with it (no download but the packages)
# make test         set up .venv and run the test suite
# make lint         ruff, mypy and import-linter
# make format       let ruff order imports and format the code
# make docs         build the documentation into build/site
# make clean        remove .venv and build outputs; runs/ stays
# Another Python: make quickstart PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: quickstart test lint format docs install clean

quickstart: install
	$(BIN)/tfkit run digits_base run.overwrite=true
	$(BIN)/tfkit run digits run.overwrite=true
	@echo "  Before it   source $(BIN)/activate    (puts tfkit on the path)"

test: install
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

install: $(STAMP)

$(STAMP): pyproject.toml setup.cfg constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else "error: this is Python %d.%d; TensorFlow 2.21 and Keras 3.15 run on 3.11, 3.12 and 3.13\nhint: make $(firstword $(MAKECMDGOALS) install) PYTHON=python3.12" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "hint: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "Installing tfkit and what it needs into $(VENV) (about 2.4 GB; a minute or two)"
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	fi
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
