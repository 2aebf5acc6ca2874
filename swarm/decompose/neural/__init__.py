"""A transformer that reads a request once and asks it about every capability; trained and run by torch, an
extra.
"""
