"""Ways to break a request down, behind one Protocol (`swarm.decompose.records.Engine`)."""
