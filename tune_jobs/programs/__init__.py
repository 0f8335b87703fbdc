"""Other people's training programs: start them, follow their logs, end them with a reason.

A program runs unchanged in a process group of its own. What it logs is read while it runs, and
judged by the rules that judge our own trials.
"""
