"""Rollouts: environments stepped in batches, and what is made of their steps before learning."""
