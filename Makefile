# Every target is a short wrapper of plain commands, so that make is a convenience.
PYTHON ?= python3
# An importable pytest is used as it is; else a .venv with the pinned one is made.
TEST_PYTHON := $(shell $(PYTHON) -c "import pytest" 2>/dev/null && echo $(PYTHON) || echo .venv/bin/python)

# Tests start a hundred programs: what one of them compiled is kept for the others, whatever the environment says.
test-sound test-rest test-all browser stores cluster: export PYTHONDONTWRITEBYTECODE :=
# Tests need pytest alone: other plugins that are installed have a hand in each of thousands of tests, and are left out.
test-sound test-rest test-all browser stores cluster: export PYTEST_DISABLE_PLUGIN_AUTOLOAD := 1
# Data folders of the quick tests are in memory where there is room for them: they sync what no test takes the power from.
IN_MEMORY := $(shell test -w /dev/shm && df -Pk /dev/shm 2>/dev/null | awk '$$1 == "tmpfs" && $$4 > 2000000 {print "/dev/shm"}')
test-sound test-rest: export TMPDIR := $(or $(TMPDIR),$(IN_MEMORY),/tmp)

help:  ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

run:  ## Serve on http://127.0.0.1:8000, data in ./var
	$(PYTHON) audioserver.py

test: $(filter .venv/bin/python,$(TEST_PYTHON))  ## Everything that must pass before a commit, under a minute
	@$(MAKE) --no-print-directory -j2 test-sound test-rest TEST_PYTHON=$(TEST_PYTHON)

SOUND = $(wildcard tests/test_codec_*.py tests/test_conversion_*.py tests/test_resampl*.py tests/test_peaks*.py \
        tests/test_segments.py tests/test_transcoding.py tests/test_waveform.py tests/test_windows.py tests/test_formats_*.py tests/test_audiometa.py tests/test_storage.py tests/test_faults.py tests/test_crash.py tests/test_attacks.py)
MARK = not slow
test-sound:  ## The half of `test` that is formats, codec and what a fault leaves; the two run beside each other
	$(TEST_PYTHON) -m pytest -m "$(MARK)" $(SOUND)
test-rest:  ## The other half: the wire, the storage, the routes, the commands
	$(TEST_PYTHON) -m pytest -m "$(MARK)" $(addprefix --ignore=,$(SOUND) $(LEFT_OUT))

test-slow: $(filter .venv/bin/python,$(TEST_PYTHON))  ## The slow tests, but those on real engines: these are `stores` and `cluster`
	@$(MAKE) --no-print-directory -j2 test-sound test-rest TEST_PYTHON=$(TEST_PYTHON) MARK=slow LEFT_OUT="$(STORES) $(CLUSTER)"

test-all: $(filter .venv/bin/python,$(TEST_PYTHON))  ## The slow tests as well
	$(TEST_PYTHON) -m pytest

.venv/bin/python:
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -qq --disable-pip-version-check -r tests/requirements.txt

browser: $(filter .venv/bin/python,$(TEST_PYTHON))  ## The page in a real Chromium (chromium, chromium-driver)
	@test -d build/axe || npm install --silent --no-audit --no-fund --fetch-retries=1 --fetch-timeout=60000 --prefix build/axe axe-core@4.10.2 || echo "axe-core cannot be had: its stories are skipped"
	$(TEST_PYTHON) -m pytest tests/browser -o python_files="story_*.py" -rs

SCHEMATHESIS = build/schemathesis/bin
schemathesis:  ## /openapi.json held against the running server by schemathesis, in a venv of its own
	@test -x $(SCHEMATHESIS)/openapi-spec-validator || { $(PYTHON) -m venv build/schemathesis && $(SCHEMATHESIS)/python -m pip install \
		-qq --disable-pip-version-check --retries 1 --timeout 60 schemathesis==4.32.5 openapi-spec-validator==0.9.0; } || true
	@if test -x $(SCHEMATHESIS)/schemathesis && test -x $(SCHEMATHESIS)/openapi-spec-validator; then \
		$(SCHEMATHESIS)/openapi-spec-validator audiokit/ui/openapi.json \
		&& $(PYTHON) tests/agreement.py $(SCHEMATHESIS)/schemathesis; \
	else echo "schemathesis cannot be had here: whether /openapi.json agrees with the server is not tried"; fi

RUFF = ruff 0.17.6
check:  ## Compile everything; ruff too where it is installed in that version: others have other rules
	$(PYTHON) -W error -m compileall -q audioserver.py storage.py audiometa.py audiokit tests bench
	@if ruff --version 2>/dev/null | grep -qx '$(RUFF)'; then ruff check .; else echo "$(RUFF) is not installed: skipped"; fi

corpus:  ## How true the readers are, on the corpus where it is at hand
	$(PYTHON) bench/corpus.py

fuzz:  ## 40,000 seeded mutations against the readers
	$(PYTHON) bench/fuzz.py

crash:  ## 1,000 times SIGKILL under uploads, nothing acknowledged lost
	$(PYTHON) bench/crash.py --cycles 1000

soak:  ## 64 clients for a minute, then a million requests: nothing lost, nothing grows
	$(PYTHON) bench/soak.py

bench:  ## The engine against its peers; each row alone: bench/bench_http.py --help
	$(PYTHON) bench/bench_http.py all

bench-record:  ## The same, written to bench/results
	$(PYTHON) bench/bench_http.py all --record

bench-catalogue:  ## Every filter of /list at any number of rows
	$(PYTHON) bench/bench_catalogue.py

bench-audiometa:  ## The readers against tinytag and mutagen
	$(PYTHON) bench/bench_audiometa.py

bench-resample:  ## The resampling service against FastAPI with ffmpeg
	$(PYTHON) bench/bench_resample_service.py

STORES = tests/test_blobs_contract.py tests/test_engines.py
stores: $(filter .venv/bin/python,$(TEST_PYTHON))  ## A server on real S3 engines (rclone, OpenStack Swift), which are killed and hung; fetched on first use
	$(TEST_PYTHON) -m pytest -m slow -rs $(STORES)

CLUSTER = tests/test_catalogue_contract.py tests/test_rqlite_secured.py tests/test_board.py tests/test_round_trips.py \
          tests/test_cluster.py tests/test_cluster_conversions.py tests/test_cluster_moving.py
cluster: $(filter .venv/bin/python,$(TEST_PYTHON))  ## Three rqlite nodes, OpenStack Swift, two servers: one story of deaths and hangs, told as a table
	$(TEST_PYTHON) -m pytest -m slow -rs $(CLUSTER)

bench-stores:  ## What a store on another machine costs beside the folder
	$(PYTHON) bench/bench_stores.py

bench-cluster:  ## What rows in a cluster cost beside the file, and what a second server brings
	$(PYTHON) bench/bench_cluster.py

bench-page:  ## The weight of the page's first view, and how soon it can be used
	$(PYTHON) bench/bench_page.py

clean:  ## Remove what the targets made; never the data
	rm -rf build .venv .venv-* .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run test test-sound test-rest test-slow test-all browser schemathesis check corpus fuzz crash soak bench bench-record bench-catalogue bench-audiometa bench-resample bench-page stores cluster bench-stores bench-cluster clean
