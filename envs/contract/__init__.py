"""What an environment is here: worlds, batches, games of several agents, masks, random numbers."""
