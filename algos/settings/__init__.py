"""The settings of each algorithm: files of their own, as flags and job files need no torch."""
