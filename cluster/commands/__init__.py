"""The commands of ``rungwise``: one module per group, each command a dataclass of its flags.

A command returns the object that ``--json`` prints, after it has printed the readable form. No
module here imports Ray or torch at its top, so that ``rungwise --help`` answers at once.
"""
