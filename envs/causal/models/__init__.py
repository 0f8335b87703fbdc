"""Structural causal models: named ones, random families, and files of a user."""
