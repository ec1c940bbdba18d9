# make train: create the environment, install minifer, train the headline network.
# make test:  install what the tests need, and run them all.
# make test-processors: the tests once for each set of kernels that NumPy and OpenBLAS
#             may pick, as on older processors. ARGS="--setting haswell" for one of them,
#             ARGS="--python PATH --oldest PATH" for other versions; --help for more.
# make fuzz:  damaged files for every reader, with a table of what became of them.
#             ARGS="--cases 20000 --seed 1 --minutes 20" for more; --help for all.
# make load:  32 threads in four processes ask one model for a minute; every answer is
#             compared. ARGS="--seconds 10" for less; --help for all.
# make docs:  lessons, explained by what they print and draw, and the reference.
# make gpu-check: everything a machine with an NVIDIA GPU should prove, in ten minutes.
#             ARGS="--minutes 40" for a longer benchmark; --help for all.
# make gpu-wheels: all that gpu-check installs, into the folder wheels/, for a machine
#             without a network: where that folder lies, gpu-check looks nowhere else.
#             To be run with the same version of Python; CUDA=12 for an older driver.
# make cupy-check: the same with real CuPy on a machine without a GPU, as far as that goes:
#             its kernels are compiled by NVRTC, and computed by the emulator.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
GPU = $(VENV)-gpu
comma = ,
WHEELS = wheels
CUDA = $(shell nvidia-smi 2>/dev/null | sed -n 's/.*CUDA[A-Z ]*Version: *\([0-9]*\).*/\1/p')

.PHONY: train test test-processors fuzz load docs gpu-check gpu-wheels cupy-check driver \
  clean

train: $(VENV)/.installed
	$(RUN) examples/train_ck.py

test: $(VENV)/.dev
	$(RUN) -m pytest -n auto --dist loadfile

test-processors: $(VENV)/.dev
	$(RUN) tests/processors.py $(ARGS)

fuzz: $(VENV)/.keras
	$(RUN) tests/fuzz $(ARGS)

load: $(VENV)/.dev
	$(RUN) tests/fuzz/load.py $(ARGS)

docs: $(VENV)/.docs
	$(RUN) -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

gpu-check: driver $(GPU)/.installed
	$(GPU)/bin/python examples/gpu/gpu_check.py $(ARGS)

gpu-wheels:
	$(PYTHON) -m pip wheel --disable-pip-version-check --wheel-dir $(WHEELS) \
	  $(GPU_PACKAGES) 'setuptools>=64'

cupy-check: $(VENV)/.dev
	$(RUN) tests/cuda/standin $(ARGS)

$(VENV)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "minifer needs Python 3.10 or newer: make PYTHON=python3.12 ..."; exit 2; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

$(VENV)/.keras: $(VENV)/.dev
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[keras]'
	touch $@

driver:
	@test "0$(CUDA)" -ge 12 || { echo "gpu-check: expected an NVIDIA GPU with a driver" \
	  "for CUDA 12 or newer, as nvidia-smi shows it, got $(or $(CUDA),none). Without" \
	  "one, rehearse: $(RUN) examples/gpu/gpu_check.py --device emu" >&2; exit 2; }

# With the toolkit's version pip need not try one after the other, 400 MB each.
GPU_PACKAGES = $(if $(filter 12,$(CUDA)),'.[test$(comma)cuda12x]',\
  '.[test$(comma)cuda13x]' 'nvidia-cuda-nvrtc==13.0.*' 'cuda-toolkit==13.0.*')

# An environment of its own, with one compiler: CuPy for CUDA 12 would load the NVRTC of
# CUDA 13 that the other tests install. That of CUDA 13 is the one whose register budgets
# are known. PyTorch is compared with if somebody has installed it there.
$(GPU)/.installed: setup.cfg pyproject.toml
	test -x $(GPU)/bin/python || $(PYTHON) -m venv $(GPU)
	$(GPU)/bin/python -m pip install --quiet --disable-pip-version-check \
	  $(if $(wildcard $(WHEELS)),--no-index --find-links $(WHEELS)) -e $(GPU_PACKAGES)
	touch $@

clean:
	rm -rf $(VENV) $(GPU) .venv-[0-9]* build dist *.egg-info .pytest_cache .hypothesis
	rm -rf docs/_build docs/api docs/learn
