"""Neural Swarm: runs neural agents nobody has to trust."""
