"""The same ports as the adapters, in one process: deterministic, and shipped to users."""
