# The two commands: `make run` and `make test`. Each sets up all it needs; the second time that takes a second.
PYTHON ?= python3
VENV := .venv/bin

# Bytecode is kept, also where the environment forbids it: the tests start Python hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test tests quick fix test-e2e hostile fuzz bench load screenshots lint types check-infra infra-checks audit requirements train evaluate setup packages deploy retry erase

run:
	@$(PYTHON) local/setup_env.py --group local --group frontend --azurite
	@exec $(VENV)/python -m local

# Types are checked beside the tests, which wait much. The tests of the cloud part are among them.
test: setup lint
	@$(VENV)/python -m infra.policy which
	@$(MAKE) --no-print-directory -j tests types

# Three processes on two cores, as many tests wait. A file's tests stay together; tests/conftest.py orders the files.
# A thread each for arithmetic: several in each process spend their time waiting for each other.
tests quick: export OMP_NUM_THREADS := 1
tests quick: export OPENBLAS_NUM_THREADS := 1
tests quick: export TF_NUM_INTRAOP_THREADS := 1
tests quick: export TF_NUM_INTEROP_THREADS := 1

tests:
	@$(VENV)/pytest --cov --cov-report=term -n 3 --dist loadfile --no-loadscope-reorder

# While changing code: lint, types and unit tests, in well under a minute once set up.
# make quick ARGS=tests/training: those of other folders.
QUICK := tests/tonearm tests/functions tests/frontend tests/local tests/test_repository.py tests/test_documents.py
quick:
	@$(VENV)/ruff check . && $(VENV)/ruff format --check --quiet . && $(VENV)/mypy
	@$(VENV)/pytest -q -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder $(or $(ARGS),$(QUICK))

fix:
	@$(VENV)/ruff check --fix . ; $(VENV)/ruff format .

# The web app alone, in a browser, against the running system; a part of `test`.
test-e2e:
	@$(PYTHON) local/setup_env.py --group test --group local --group frontend --azurite --browser
	@$(VENV)/pytest tests/e2e/browser

# What a stranger can do to the running service: what, before, now, allowed; some five minutes. One step:
# make hostile ARGS="--step long_uploads". One file: python -m tests.hostile --case mp4:alac out.bin
hostile:
	@$(PYTHON) local/setup_env.py --group test --group local --azurite
	@$(VENV)/python -m tests.hostile.service $(ARGS)

# Files that state what is not there, each read as an upload is. The pipeline does this each night, with another FIRST.
fuzz:
	@$(PYTHON) local/setup_env.py --group test --group local
	@$(VENV)/python -m tests.hostile --largest --by-kind --count $(or $(COUNT),100000) --first $(or $(FIRST),0)

# make screenshots [MUSIC=folder]: the pictures of the pages in docs/images; docs/web.md
screenshots:
	@$(PYTHON) local/setup_env.py --group test --group local --group frontend --azurite --browser
	@$(VENV)/python -m tests.e2e.browser.screenshots $(if $(MUSIC),--music "$(MUSIC)")

# What an answer costs, as ratios to baselines of the same run: some minutes, bench/results.json; docs/performance.md
bench:
	@$(PYTHON) local/setup_env.py --group bench --group test --group local --azurite
	@$(VENV)/python -m bench

# A hundred users for a minute, too many of them, and uploads: bench/load.json. make load [ARGS="--mode fast"]
load:
	@$(PYTHON) local/setup_env.py --group bench --group test --group local --azurite
	@$(VENV)/python -m bench.load $(ARGS)

setup:
	@$(PYTHON) local/setup_env.py --all-groups --azurite --infra --browser

lint:
	@$(VENV)/ruff check . && $(VENV)/ruff format --check .

types:
	@$(VENV)/mypy

# What can be checked of the cloud part without a subscription; docs/deploy.md says what cannot.
check-infra:
	@$(PYTHON) local/setup_env.py --group infra --group test --group local --infra
	@$(MAKE) --no-print-directory infra-checks

infra-checks:
	@$(VENV)/python -m infra.policy

# Secrets in the tree, and advisories about what is locked: infra/audit.json. It asks the Internet, so it is no part of
# `test`. A finding that is no secret is accepted into infra/checks/secrets.baseline with `detect-secrets audit`.
audit:
	@$(PYTHON) local/setup_env.py --group test
	@$(VENV)/uv tool run --quiet --from detect-secrets==1.5.0 detect-secrets-hook --no-verify \
		--baseline infra/checks/secrets.baseline $$(git ls-files) || test $$? -eq 3  # 3: known ones have moved
	@$(VENV)/python -m infra.audit

# What is deployed, dist/functions.zip and dist/web.zip, and what is in each: dist/*.cdx.json.
packages:
	@$(PYTHON) local/setup_env.py
	@$(VENV)/python -m infra.packages

# make deploy ENVIRONMENT=dev [ARGS="--location norwayeast"]: the first deployment, or the next release; docs/deploy.md
deploy:
	@$(PYTHON) local/setup_env.py
	@$(VENV)/python -m infra.deploy all --environment $(ENVIRONMENT) $(ARGS)

# What Azure installs for the function app; a test fails when it is stale.
requirements:
	@$(VENV)/uv export --quiet --locked --no-dev --no-emit-project --no-hashes --no-annotate --no-header -o requirements.txt

# Uploads that failed five times are tried again, here or in Azure: make retry [ACCOUNT=name]; docs/deploy.md
retry:
	@$(PYTHON) local/setup_env.py --group local
	@AzureWebJobsStorage="$$($(VENV)/python -m local.azurite)" $(VENV)/python -m functions.retry_failed \
		$(if $(ACCOUNT),--account "$(ACCOUNT)")

# make erase ID=id | OWNER=owner [ACCOUNT=name]: all that is stored of recordings is deleted; of make run, or as above
erase:
	@$(PYTHON) local/setup_env.py --group local
	@AzureWebJobsStorage="$$($(VENV)/python -m local.azurite)" $(VENV)/python -m functions.erase \
		$(if $(ACCOUNT),--account "$(ACCOUNT)") $(if $(OWNER),--owner "$(OWNER)") $(if $(ID),"$(ID)")

# make train DATA=path/to/gtzan VERSION=name [ARGS=--make-default]
train:
	@$(PYTHON) local/setup_env.py --group training
	@$(VENV)/python -m training --data "$(DATA)" --version "$(VERSION)" $(ARGS)

# make evaluate DATA=path/to/gtzan [ARGS="--version name --refit artist10/3"]
evaluate:
	@$(PYTHON) local/setup_env.py --group training
	@$(VENV)/python -m training.evaluate --data "$(DATA)" $(ARGS)
