"""Thoughts: a small language model that may think before the next words are read to it."""
