# Two commands do everything on a fresh machine: make demo and make test.
.PHONY: demo test proof mutation lock

demo:
	@./run demo $(ARGS)

test:
	@./run test $(ARGS)

proof:
	@./run test --proof $(ARGS)

# A fault put into the decisions and the folds, one at a time: every one must fail a test.
mutation:
	@./run --version >/dev/null && .venv/bin/python -m tests.mutation.run $(ARGS)

# Maintainers: pin again after editing pyproject.toml. Only the hash-pinned export is kept.
lock:
	@uv lock -q && uv export -q --no-emit-project --extra edge --extra hub --extra dev --no-header --format requirements-txt > requirements.lock; rm -f uv.lock
	@echo "pyscard==2.3.1" | uv pip compile -q --generate-hashes --no-header --no-annotate --no-emit-index-url - -o requirements-pcsc.lock
