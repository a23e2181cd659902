# Names and passes on; what each target does is in the Python module it calls.
PYTHON  ?= python3
WORKERS ?= 2
RUN     := .venv/bin/python -m
MODEL_OF_TESTS := smollm2-135m

.DEFAULT_GOAL := help
.PHONY: help setup sim fetch test test-full mutations bench lint docs clean

# In the environment, since a prompt may hold any quote or blank.
export LAYER MODEL PRESET CODING RECIPE DEVICE PROMPT SEED STALLS WAVES ROWS TOKENS

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-10s %s\n", $$1, $$2}' Makefile

setup:  ## make .venv and the system's tools ready; the targets below do that first
	@$(PYTHON) tools/setup.py

sim: setup  ## LAYER=mlp0 [MODEL= PRESET= CODING= RECIPE= PROMPT= SEED= STALLS= WAVES= ROWS= TOKENS=]
	@$(RUN) tools.make_sim

fetch: setup  ## the model that the tests use; where there is no network, its tests are skipped
	@$(RUN) golden fetch $(MODEL_OF_TESTS) || echo "fetch: tests of $(MODEL_OF_TESTS) are skipped"

test: fetch  ## everything a contributor must keep green
	@$(RUN) pytest -n $(WORKERS) --dist worksteal

test-full: fetch  ## the same, and the tests that take minutes each
	@$(RUN) pytest -n $(WORKERS) --dist worksteal -m ""

mutations: setup  ## plant faults in the RTL; each must make a test fail
	@$(RUN) tests.mutations

bench: setup  ## measure; nothing is checked
	@$(RUN) bench

lint: setup  ## ruff and pyright
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) pyright

docs: setup  ## write the generated pages of docs/ anew: isa, regs, energy, boards, commands, waves
	@$(RUN) hw docs
	@$(RUN) compiler.pages
	@$(RUN) tools.commands_page
	@$(RUN) tools.waves

clean:  ## remove what was built; .venv and the fetched models stay
	rm -rf build .pytest_cache .ruff_cache .hypothesis
