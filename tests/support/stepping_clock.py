# pyright: basic
"""A simulated clock for time limits."""

LOOK_S = 2e-4
"""Time between two looks at the clock; probes of a check look at it after each step they play."""


class SteppingClock:
    """A clock that advances at each look, so that a time limit is a number of looks.

    What has a time limit then does the same on every machine, however loaded.
    """

    def __init__(self, look_s=LOOK_S):
        self.look_s, self.now = look_s, 0.0

    def __call__(self):
        self.now += self.look_s
        return self.now
