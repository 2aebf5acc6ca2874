"""A plugin that breaks while it is imported."""

message = "this package is broken"
raise RuntimeError(message)
