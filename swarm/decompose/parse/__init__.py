"""Readers of requests: a sentence, a program, a document of steps."""
