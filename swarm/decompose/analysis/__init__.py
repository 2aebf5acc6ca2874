"""What a request says before anything is mapped: its meaning, its intent, and how much work its graph is."""
