"""The report of a run: an HTML page, its plots, tables and pictures."""
