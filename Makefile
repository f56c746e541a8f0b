# What each does is told in the README; the work is in scripts.
.PHONY: help run test bench clean-run

help:
	@echo "make run        the whole system on this machine, on services of its own (Ctrl-C ends it)"
	@echo "make test       every check and test that CI runs, against real services"
	@echo "make bench      measure, print, and write var/bench.json (SIZE=25M: of so many samples)"
	@echo "make clean-run  remove what make run keeps"

run:
	@bin/install run
	@exec .venv/bin/python -m embedded

test:
	@bin/install test
	@exec tests/run

bench:
	@bin/install test
	@exec .venv/bin/python -m tests.bench $(if $(SIZE),--size $(SIZE))

clean-run:
	@bin/clean-run
