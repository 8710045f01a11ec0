.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Each in a process of its own: TensorFlow, PyTorch and the renderer's OpenGL each bring an LLVM, and together they crash.
TRAINING_TESTS := $(sort $(dir $(wildcard tests/training/*/test_*.py)))

# `make image-<service>` for each of these.
IMAGES := classify cluster-assign embed-latent remove-background

.PHONY: help setup setup-dev serve test lint proto proto-check proto-release clients web bench hostile soak photogrammetry samples clean k8s-check test-image test-cluster $(IMAGES:%=image-%) $(IMAGES:%=bento-%)

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

setup: $(VENV)/.serve  ## Install what serving needs (no training framework)

setup-dev: $(VENV)/.dev  ## Install what training, tests and lint need

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -q -c constraints.txt -e '.[serve,cli]'
	@touch $@

# torch first and by version, so that a wheel lying on the machine is preferred to the registry's CUDA build.
$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -q "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install -q -c constraints.txt -e '.[serve,cli,batch,report,train,dev]'
	@touch $@ $(VENV)/.serve

# With the mask model, so that `maquette embed --mask` is answered.
serve: setup  ## Run the four services in the foreground; Ctrl-C drains and stops them
	@MAQUETTE_MASK_MODEL="$${MAQUETTE_MASK_MODEL:-$$(ls -d "$${MAQUETTE_MODELS:-exported_models}"/remove_background/*/ 2>/dev/null | sort -V | tail -1)}" \
	  exec $(BIN)/python -m services

test: setup-dev lint proto-check clients web/node_modules/.installed  ## Lint, types, and the whole suite
	$(BIN)/python -m pytest --ignore=tests/training
	printf '%s\n' $(TRAINING_TESTS) | xargs -P 2 -I FOLDER $(BIN)/python -m pytest FOLDER

lint: setup-dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

proto: setup-dev  ## Regenerate the stubs from protos/
	$(BIN)/python -m protos.generate

proto-check: proto  ## Fail when the committed stubs are not those of protos/
	git diff --exit-code -- protos

proto-release: proto  ## At a release: what `buf breaking` holds later versions to
	cp protos/maquette.binpb protos/released.binpb

# What makes clients of /docs.json and tries it; Node's part where there is npm.
CLIENTS := tests/contract/clients
clients: $(VENV)/clients/.installed  ## Install what generates and tries clients of the OpenAPI documents

$(VENV)/clients/.installed: $(CLIENTS)/requirements.txt $(CLIENTS)/package.json | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/clients
	$(VENV)/clients/bin/pip install -q -r $(CLIENTS)/requirements.txt
	if command -v npm >/dev/null; then mkdir -p $(VENV)/node && cp $(CLIENTS)/package.json $(VENV)/node && npm install --silent --prefix $(VENV)/node; fi
	@touch $@

# The built pages are committed: only who changes them needs npm. A test compares them with a build of its own where there is npm.
web: web/node_modules/.installed  ## Check and build the pages of web/ into the packages that serve them (npm)
	@command -v npm >/dev/null || { echo 'web: npm is not installed; the pages in the packages stay as they are' >&2; exit 2; }
	cd web && npm run --silent build

web/node_modules/.installed: web/package.json web/package-lock.json
	if command -v npm >/dev/null; then cd web && npm ci --silent --no-audit --no-fund; fi
	@mkdir -p web/node_modules && touch $@

# Ten minutes; `python -m benchmarks.peers --quick` takes one.
bench: setup-dev  ## classify beside FastAPI and LitServe, then each service over both transports beside plain ONNX Runtime (Debian: apache2-utils)
	$(BIN)/python -m benchmarks.peers --json benchmarks/results/peers.json
	$(BIN)/python -m benchmarks.serving --seconds 1.5 --memory-requests 1000 --json benchmarks/results/serving.json
	$(BIN)/python -m benchmarks.start

hostile: setup-dev  ## Attack a service with default settings, beside a probe, and print the table of SECURITY.md (15 minutes)
	HOSTILE=full timeout --signal=INT 900 $(BIN)/python -m pytest tests/hostile

# One hour, or SOAK_MINUTES.
soak: setup-dev  ## Mixed, broken and cancelled traffic for an hour, and what memory does; fails when it grows
	$(BIN)/python -m tests.hostile.soak

# `make photogrammetry DATA=... SCAN=Demosthenes FLAGS='--size 1600'`; resumed in PHOTOGRAMMETRY, where a new model makes a new column.
DATA ?= data
SCAN ?= Athena
PHOTOGRAMMETRY ?= build/photogrammetry
photogrammetry: setup-dev  ## Reconstruct a rendered statue with COLMAP, with and without the service's masks
	$(BIN)/python -m benchmarks.photogrammetry --scan $(DATA)/sculpture_scans/$(SCAN).glb --backgrounds $(DATA)/backgrounds \
	  --out $(PHOTOGRAMMETRY) $(FLAGS)

# podman, buildah and docker take the same arguments here. BASE, ENGINE=onnxruntime-gpu, MODELS and IMAGE_FLAGS are passed on.
CONTAINER_TOOL ?= $(firstword $(foreach tool,podman buildah docker,$(if $(shell command -v $(tool)),$(tool))))
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE_PREFIX ?= localhost/maquette/

$(IMAGES:%=image-%): image-%:  ## Build the image of one service
	@test -n '$(CONTAINER_TOOL)' || { echo 'image: none of podman, buildah and docker is installed' >&2; exit 2; }
	$(CONTAINER_TOOL) build $(IMAGE_FLAGS) --file Containerfile --tag $(IMAGE_PREFIX)$*$(if $(findstring gpu,$(ENGINE)),-gpu):$(VERSION) \
	  --build-arg SERVICE=$(subst -,_,$*) --build-arg VERSION=$(VERSION) \
	  --build-arg REVISION=$$(git rev-parse HEAD) --build-arg CREATED=$$(git log -1 --format=%cI) \
	  $(foreach name,BASE ENGINE MODELS,$(if $($(name)),--build-arg $(name)=$($(name)))) .

build/requirements.txt: pyproject.toml constraints.txt | $(VENV)/.serve
	@mkdir -p build
	$(BIN)/python -c "import re, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	wanted = [re.match(r'[\w.-]+', d)[0].lower() for d in p['dependencies'] + p['optional-dependencies']['serve']]; \
	pins = dict(line.strip().split('==') for line in open('constraints.txt') if '==' in line); \
	pins = {name.lower().replace('_', '-'): version for name, version in pins.items()}; \
	print(*(f'{name}=={pins[name]}' for name in wanted), sep='\n')" >$@

$(IMAGES:%=bento-%): bento-%: build/requirements.txt  ## Build one service as a Bento into BentoML's own store
	BENTOML_DO_NOT_TRACK=True $(BIN)/bentoml build --bentofile services/$(subst -,_,$*)/bentofile.yaml --version $(VERSION) .

test-image: setup-dev  ## Build an image, run it as production does, call it, stop it under load (root, Debian)
	tests/image/run

test-cluster: setup-dev  ## The local overlay on the cluster of KUBECONFIG (docs/operations.md says what it needs)
	@test -n "$$KUBECONFIG" || { echo 'test-cluster: KUBECONFIG names no cluster' >&2; exit 2; }
	$(BIN)/python -m pytest -rA --timeout 900 tests/cluster

# checkov pins half of PyPI: an environment of its own.
$(VENV)/checkov/bin/checkov: | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/checkov
	$(VENV)/checkov/bin/pip install -q 'checkov>=3.3,<4'

k8s-check: setup-dev $(VENV)/checkov/bin/checkov  ## Manifests: schemas, own rules, promtool, checkov, hadolint
	@command -v promtool >/dev/null || { echo 'k8s-check: promtool is not installed; Debian has it in the package prometheus' >&2; exit 2; }
	$(BIN)/python -m pytest tests/k8s
	@rm -rf $(VENV)/rendered && mkdir -p $(VENV)/rendered
	set -e; for overlay in k8s/overlays/*/; do \
	  $(BIN)/kubectl kustomize $$overlay >$(VENV)/rendered/$$(basename $$overlay).yaml; done
	$(VENV)/checkov/bin/checkov --directory $(VENV)/rendered --config-file k8s/.checkov.yaml
	$(BIN)/hadolint Containerfile

clean:  ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache *.egg-info
