"""Check before training: can this environment be learnt, and does the algorithm work?

A probe is a function from a :class:`CheckTarget` and the seconds it may take to a
:class:`ProbeResult`: findings, figures, and what it could not judge and why.
``findings.yaml`` explains the findings.
"""
