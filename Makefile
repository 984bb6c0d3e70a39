# Two commands do everything on a fresh machine: make demo and make test.
.PHONY: demo test proof lock

demo:
	@./run demo $(ARGS)

test:
	@./run test $(ARGS)

proof:
	@./run test --proof $(ARGS)

# Maintainers: pin again after editing pyproject.toml. Only the hash-pinned export is kept.
lock:
	@uv lock -q && uv export -q --no-emit-project --extra edge --extra hub --extra dev --no-header --format requirements-txt > requirements.lock; rm -f uv.lock
