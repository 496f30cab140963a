# The two commands: `make run` and `make test`. Each sets up all it needs; the second time that takes a second.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: run test lint types requirements train evaluate setup

run:
	@$(PYTHON) local/setup_env.py --group local --group frontend --azurite
	@exec $(VENV)/python -m local

test: setup lint types
	@$(VENV)/pytest --cov --cov-report=term

setup:
	@$(PYTHON) local/setup_env.py --all-groups --azurite

lint:
	@$(VENV)/ruff check . && $(VENV)/ruff format --check .

types:
	@$(VENV)/mypy

# What Azure installs for the function app; a test fails when it is stale.
requirements:
	@$(VENV)/uv export --quiet --locked --no-dev --no-emit-project --no-hashes --no-annotate --no-header -o requirements.txt

# make train DATA=path/to/gtzan VERSION=name [ARGS=--make-default]
train:
	@$(PYTHON) local/setup_env.py --group training
	@$(VENV)/python -m training --data "$(DATA)" --version "$(VERSION)" $(ARGS)

# make evaluate DATA=path/to/gtzan [ARGS="--version name --refit artist10/3"]
evaluate:
	@$(PYTHON) local/setup_env.py --group training
	@$(VENV)/python -m training.evaluate --data "$(DATA)" $(ARGS)
