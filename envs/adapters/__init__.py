"""Environments of other packages as rollouts need them: their types, results, limits and ends."""
