"""Contract of an environment: worlds, batches, games of several agents, masks, random numbers."""
