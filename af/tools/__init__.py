"""Command line tools for agent files; the only part of this package that may use the sandbox."""
