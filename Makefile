# Everything a developer runs. Needs python3 >= 3.10 and make; ComfyUI where one is found (see `make help`).

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/installed.txt
HOST_SITE := build/host-site
NODE_READY := node_modules/.package-lock.json

# Idle threads spinning for work slow tiny models down twentyfold when the cores are shared.
export OMP_WAIT_POLICY := PASSIVE
export PYTHONPATH := $(CURDIR)

.PHONY: help setup demo host fast test test-core test-slow test-host test-browser test-clicks test-families bench bench-gpu mutation lint lint-js drawings world quality pictures \
	lane-host lane-browser

help:
	@echo "make demo          subject, style, plain sum and K-LoRA side by side, map and report, into demo/"
	@echo "make host          installs a ComfyUI by comfy-cli where there is none and the network allows it"
	@echo "make fast          a minute of tests, after every change; ROOM=files: of that room and those that import it"
	@echo "make test          all lanes; a lane whose host is missing says so"
	@echo "make test-core     the method, without a ComfyUI; test-slow: what the fast lane leaves out of it"
	@echo "make test-host     inside a real ComfyUI (fails without one)"
	@echo "make test-browser  in a real browser on a real ComfyUI; FRONTEND=newest: on the newest page of PyPI"
	@echo "make test-clicks   every template by mouse alone, in both renderers (15 minutes on two cores)"
	@echo "make test-families every family of networks, spelling, kind and precision, into docs/COMPATIBILITY.md"
	@echo "make bench         speed and memory, into bench/RESULTS.md"
	@echo "make bench-gpu     what only a GPU can answer, into bench/GPU.md (ten minutes; skips without one)"
	@echo "make world         trains the small world's missing weights (hours from nothing; world/README.md)"
	@echo "make quality       what fusion does to pictures there, into bench/QUALITY.md (an hour on two cores)"
	@echo "make pictures      hero, banner, thumbnails and help pictures on the small world"
	@echo "make mutation      mutants of klora_core that the tests let live: hours; MUTANTS='klora_core.plan*'"
	@echo "make lint          ruff, formatting, types; the page's types too where npm is"
	@echo "ComfyUI: COMFYUI_PATH, the folder the pack is installed in, ~/comfy/ComfyUI, ~/ComfyUI;"
	@echo "its interpreter: COMFYUI_PYTHON, else its .venv"
	@echo "Other node packs, to be tried beside this one in the browser: in the folder that KLORA_OTHER_PACKS names"

setup: $(READY)

# Compared by content: a fresh checkout touches the file without changing it. pip compiles on one core alone.
$(READY): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "$(PYTHON) is older than 3.10: name a newer one, make PYTHON=python3.12"; exit 1; }
	@if ! cmp -s requirements-dev.txt $@; then \
		test -x $(PY) || $(PYTHON) -m venv $(VENV); \
		echo "Installing the development requirements into $(VENV) (once; torch is large) ..."; \
		$(PY) -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-dev.txt && \
		{ $(PY) -m compileall -qq -j 0 $(VENV)/lib || true; }; \
	fi
	@cp requirements-dev.txt $@

demo: $(READY)
	@$(PY) -m world.demo

host: $(READY)
	@$(PY) -m tools.host.install_host

# After every change, on one core; WORKERS=2: on two. ROOM=files: that room of klora_core and the rooms that import it.
fast: $(READY)
	@paths="tests/core tests/dev"; \
	if [ -n "$(ROOM)" ]; then paths="$$($(PY) -m tools.rooms $(ROOM))" || exit; fi; \
	$(PY) -m pytest -q -m "not slow" $(if $(WORKERS),-n $(WORKERS) --dist worksteal) $$paths

# The fast lane first: it ends here where it fails. The others wait much, for pages, servers and starts, so they run side by side; the
# models that two of them use are made first. The slow tests of the core come last: they always run, so pytest's
# closing line ends it all.
test: $(READY)
	@if $(PY) -m tools.host.lane host >/dev/null 2>&1; then \
		"$$($(PY) -m tools.host --python)" -m tools.tiny >/dev/null & \
	fi; echo "== fast lane"; $(MAKE) --no-print-directory fast WORKERS=2 || exit; wait
	@mkdir -p build; status=0; \
	$(MAKE) --no-print-directory lane-host >build/lane-host.log 2>&1 & host=$$!; \
	$(MAKE) --no-print-directory test-slow >build/lane-slow.log 2>&1 & slow=$$!; \
	echo "== browser lane, the others beside it"; $(MAKE) --no-print-directory lane-browser || status=1; \
	wait $$host || status=1; echo "== host lane"; cat build/lane-host.log; \
	wait $$slow || status=1; echo "== slow tests of the core"; cat build/lane-slow.log; \
	exit $$status

lane-host lane-browser: lane-%:
	@if why=$$($(PY) -m tools.host.lane $* 2>&1); then $(MAKE) --no-print-directory test-$*; \
	else echo "$* lane SKIPPED: $$why"; fi

test-core: $(READY)
	@$(PY) -m pytest -q tests/core tests/dev

# The small world's judge is tested on drawings.
drawings:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory --silent $(NODE_READY); \
	else echo "no drawings of the small world, whose judge is not tested: npm is missing"; fi

test-slow: $(READY) drawings
	@$(PY) -m pytest -q tests/core tests/dev -m slow

test-host: $(READY)
	@$(PY) -m tools.host.lane host
	@$(MAKE) --no-print-directory --silent $(HOST_SITE)/installed.txt
	@PYTHONPATH=$(CURDIR):$(CURDIR)/$(HOST_SITE) "$$($(PY) -m tools.host --python)" -m pytest -q -n 2 --dist worksteal tests/host

test-browser: $(READY)
	@$(PY) -m tools.host.lane browser
	@KLORA_FRONTEND=$(FRONTEND) $(PY) -m pytest -q -n 2 --dist loadgroup tests/browser

test-clicks: $(READY)
	@$(PY) -m tools.host.lane browser
	@KLORA_FRONTEND=$(FRONTEND) $(PY) -m pytest -q tests/clicks

# What ran goes into docs/COMPATIBILITY.md.
test-families: $(READY)
	@$(PY) -m tools.host.lane host
	@$(MAKE) --no-print-directory --silent $(HOST_SITE)/installed.txt
	@PYTHONPATH=$(CURDIR):$(CURDIR)/$(HOST_SITE) OMP_NUM_THREADS=1 \
		"$$($(PY) -m tools.host --python)" -m pytest -q tests/families
	@$(PY) -m tools.compatibility

# With OpenMP's own way of waiting, as users run it: needs an idle machine.
bench: $(READY)
	@env -u OMP_WAIT_POLICY $(PY) -m bench $(BENCH)

# Python alone starts it, the host's interpreter does the rest: nothing is installed on a borrowed machine.
bench-gpu:
	@env -u OMP_WAIT_POLICY $(PYTHON) -m bench.gpu $(BENCH)

# One thread a process: the stages run two processes side by side.
world: $(READY) drawings
	@OMP_NUM_THREADS=1 $(PY) -m world $(TRAININGS)

quality: $(READY)
	@$(PY) -m tools.host.lane host
	@host="$$($(PY) -m tools.host --python)"; export OMP_NUM_THREADS=1; \
		$$host -m world.quality.run 2 && $$host -m world.quality.sweeps 2
	@$(PY) -m world.quality.table && $(PY) -m world.quality.sheet && $(PY) -m world.quality.figures

pictures: $(READY)
	@$(PY) -m tools.host.lane browser
	@$(PY) -m world.pictures.hero && $(PY) -m world.pictures.brand && $(PY) -m world.pictures.thumbnails && \
		$(PY) -m world.pictures.help_pictures && $(PY) -m world.pictures.add_picture

# Into mutants/, which git ignores. One thread: the children fork.
mutation: $(READY)
	@env -u PYTHONPATH OMP_NUM_THREADS=1 $(PY) -m tools.mutants $(MUTANTS)
	@$(PY) -m tools.mutation

# Beside the host's packages, never among them: the host's environment belongs to the user.
$(HOST_SITE)/installed.txt: requirements-dev.txt
	@mkdir -p $(HOST_SITE)
	@$(PY) -m pip --python "$$($(PY) -m tools.host --python)" install --quiet --disable-pip-version-check \
		--no-warn-script-location --upgrade --target $(HOST_SITE) pytest pytest-xdist
	@cp requirements-dev.txt $@

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	@$(VENV)/bin/lint-imports
	@$(PY) -m tools.host.host_calls
	@$(MAKE) --no-print-directory lint-js

lint-js:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory --silent $(NODE_READY) && npx tsc; \
	else echo "types of web/js not checked: npm is missing"; fi

$(NODE_READY): package-lock.json
	@npm ci --silent --no-audit --no-fund
	@touch $@
