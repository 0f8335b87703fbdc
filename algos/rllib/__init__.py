"""RLlib: the configuration of our algorithms, and its own algorithms with their policies."""
