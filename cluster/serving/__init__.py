"""Trained policies outside of training: behind HTTP, exported, or imported from elsewhere."""
