"""Checks of a user's environment against Gymnasium's contract, with the user's line of code."""
