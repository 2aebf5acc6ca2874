"""Programs that measure; each is run with `python -m tests.benchmarks.<name>`."""
