"""Runs in a queue, driven over HTTP; all that is known of them is in their directories."""
