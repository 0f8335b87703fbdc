# pyright: basic
"""One contestant a file, each run as a process of its own.

Alone: ``PYTHONPATH=.:tests python -m benchmarks.contestants.ours --task cartpole --seed 0``.
"""
