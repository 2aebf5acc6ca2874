"""Plugins for Neural Swarm, as a package of its own would offer them."""
