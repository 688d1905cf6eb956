# make run   the default study: results in results/photo-digits/
# make plan  what a run would do and why, by rule; of another study: make plan STUDY=config/paper.yaml
# make test  the tests
# make bench the short benchmarks, a few minutes of an idle machine: results/benchmarks/
# make gallery  every kind of figure, of made-up numbers: docs/gallery/
# make docs  the documentation as a site: build/docs/index.html; a warning or a broken link is an error
# make lint  formatters and linters, changing nothing
# make lock  requirements.lock again, keeping what pyproject.toml still admits (delete it first for the newest releases)
#
# make help  these lines
#
# Each makes the virtual environment first, where it is missing or older than the lock. Another Python: make run
# PYTHON=python3.12. PyTorch without CUDA, 3 GB less, the first time: make run TORCH=cpu (from PyTorch's own index, as uv
# knows it; cu126, rocm6.4 and the like are others).

PYTHON ?= python3
VENV := .venv
IN_VENV := $(VENV)/bin/python -m
INSTALLED := $(VENV)/installed

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help run plan test bench gallery lint lock

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(MAKEFILE_LIST)

run: $(INSTALLED)
	$(IN_VENV) snakemake --cores all

plan: $(INSTALLED)
	@$(IN_VENV) snakemake --dry-run --cores 1 $(if $(STUDY),--configfile $(STUDY))

# One thread per worker: two on the same cores wait for each other.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(IN_VENV) pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# Name, then script and arguments: what it prints, and its last line, which is JSON.
define measure
	$(VENV)/bin/python benchmarks/$(2) > results/benchmarks/$(1).txt
	@cat results/benchmarks/$(1).txt
	@tail -n 1 results/benchmarks/$(1).txt > results/benchmarks/$(1).json
endef

bench: $(INSTALLED)
	@mkdir -p results/benchmarks
	$(call measure,engine,stitching_speed.py --threads 1 --width 8 16 --batch 16 64 --precision float32 bfloat16)
	$(call measure,architectures,stitching_speed.py --threads 1 --width 8 --batch 32 \
		--architectures R1111 R1111 --architectures R1111 R2222 --architectures R2222 R1111)
	$(call measure,breakdown,breakdown.py --threads 1 --width 8 16 --batch 32 --precision float32 bfloat16)
	$(call measure,scaling,scaling.py --threads 1)
	$(call measure,memory,memory.py --threads 1 --protocol fast)
	$(call measure,overhead,overhead.py)
	$(call measure,gathering,gathering.py --pairs 64)

gallery: $(INSTALLED)
	$(IN_VENV) modelstitch.figures.gallery docs/gallery

.PHONY: docs  # a folder has this name
docs: gallery
	$(IN_VENV) sphinx --fail-on-warning --keep-going --nitpicky --quiet docs build/docs

lint: $(INSTALLED)
	$(IN_VENV) ruff check
	$(IN_VENV) ruff format --check
	$(VENV)/bin/snakefmt --check Snakefile rules
	$(IN_VENV) snakemake --lint

lock: $(INSTALLED)
	$(IN_VENV) uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --all-extras \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--output-file requirements.lock pyproject.toml

$(INSTALLED): requirements.lock
	@$(IN_VENV) pip --version >/dev/null 2>&1 || { \
		command -v $(PYTHON) >/dev/null || \
			{ echo "$(PYTHON): not found: install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }; \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
			{ echo "$(PYTHON): $$($(PYTHON) --version 2>&1), 3.11 or newer is needed: name one: make PYTHON=python3.12" >&2; exit 1; }; \
		$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
			{ echo "$(PYTHON): has no venv module: install it (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }; \
		$(PYTHON) -m venv --clear $(VENV); }
ifdef TORCH
	$(IN_VENV) pip install --disable-pip-version-check $$(grep --only-matching '^uv==[^ ]*' requirements.lock)
	$(IN_VENV) uv pip install --torch-backend=$(TORCH) $$(grep --only-matching -E '^torch(vision)?==[^ ]*' requirements.lock)
	grep -v -E '^(torch|torchvision|triton|nvidia-|cuda-)' requirements.lock > $(VENV)/without-torch.lock
	$(IN_VENV) pip install --disable-pip-version-check --requirement $(VENV)/without-torch.lock
else
	$(IN_VENV) pip install --disable-pip-version-check --requirement requirements.lock
endif
	@touch $@
