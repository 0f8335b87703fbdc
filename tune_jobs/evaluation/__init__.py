"""Evaluation of policies: scores, baselines on the same seeds, held-out seeds, progress."""
