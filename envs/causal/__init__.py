"""Worlds over structural causal models."""
