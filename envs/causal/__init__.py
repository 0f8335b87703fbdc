"""Structural causal models, and two families of environments over them."""
