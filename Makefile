# The interface of the project: CI and developers type the same. Everything stays inside this folder.

PYTHON ?= python3
VENV := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help aws-trial bench demo demo-down dev test check layer release venv venvs format docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: python ## Run OrderFulfillment with `fluxio dev`, without Terraform and emulator
	@$(PYTHON) -m dev.bootstrap local
	@.venv-local/bin/fluxio dev examples/order_fulfillment --state .fluxio/dev/dev.sqlite \
	  --start OrderFulfillment --input '{"order_id": "o-1001", "amount": 99.0}' || [ $$? -eq 130 ]

demo: terraform layer ## Run OrderFulfillment on the real module in a local AWS emulator
	@$(VENV) -m dev.bootstrap ministack
	@$(VENV) examples/order_fulfillment/demo.py

demo-down: python ## End what `make demo` left running, and remove it
	@$(PYTHON) -m dev.emulator stop demo
	@rm -rf .fluxio/demo

bench: terraform layer ## Measure beside Step Functions and durable functions, in the local AWS emulator
	@$(VENV) -m dev.bootstrap ministack bench
	@$(VENV) -m bench $(BENCH)

test: terraform venvs check layer ## Check, build the layer and run all tests
	@$(VENV) -m dev.test

check: venv ## Check format, lint, types, versions, reference, workflows, policies and the Terraform code
	@.venv/bin/ruff format --check --quiet . || { .venv/bin/ruff format --diff .; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@$(VENV) -m dev.version --check
	@$(VENV) -m dev.reference --check
	@.venv/bin/zizmor --offline --quiet .github
	@$(VENV) -m dev.terraform check
	@$(VENV) -m dev.policies

format: venv ## Format the Python and Terraform code
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .
	@terraform fmt -recursive modules examples tests

docs: venv ## Write docs/reference from the code
	@$(VENV) -m dev.reference

layer: venv ## Build the wheels and the Lambda layer's zips in layer/dist
	@$(VENV) -m dev.layer

release: venv ## Build everything that a version publishes, in dist
	@$(VENV) -m dev.release

aws-trial: terraform layer ## Try fluxio on AWS itself: make aws-trial REGION=us-east-1 (docs/aws-trial.md)
	@$(VENV) -m dev.aws_trial $(if $(REGION),--region $(REGION))

venvs: python
	@$(PYTHON) -m dev.bootstrap

venv: python
	@$(PYTHON) -m dev.bootstrap dev

clean: demo-down ## Remove all that was made here
	@rm -rf .fluxio .venv .venv-* dist client/dist layer/dist .mypy_cache .pytest_cache .ruff_cache
	@find bench client dev examples layer tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Asked before any of our files is read, since an old Python could not even parse them.
.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "error: fluxio needs Python 3.10 or later; $(PYTHON) is: $$($(PYTHON) -V 2>&1)." >&2; \
	  echo "Install one and name it, like this: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; }

# Asked first as well: to learn after minutes of set-up that it is missing would be late.
.PHONY: terraform
terraform: python
	@$(PYTHON) -m dev.terraform find
