"""The record of a run: event rows, and the outcome, ledger and resume that follow from them."""
