"""The doors: every way to ask for work, each with its own format, all compiling to the one graph."""
