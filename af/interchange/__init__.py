"""Other formats of small networks: read into an agent file, and written from one."""
