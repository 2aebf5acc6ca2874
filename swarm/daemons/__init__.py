"""Daemons: how one is configured, run, and how several are kept up on one machine."""
