# pyright: basic
"""An environment of a user's own, copied into a project; it fails ``late``, if at all.

Later than the look before the start, and once in a run where the fault leaves a flag behind.
"""

import os
import pathlib
import time

import gymnasium
import numpy as np
from gymnasium import spaces


class Warehouse(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    steps = 0

    def __init__(self, fault="none", late=1500, flag="flag"):
        self.fault, self.late, self.flag = fault, late, pathlib.Path(flag)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(2, np.float32), self.tell(1)

    def step(self, action):
        Warehouse.steps += 1
        self.time += 1
        late = Warehouse.steps > self.late
        if late:
            self.fail()
        reward = np.nan if late and self.fault == "nan" else float(action)
        return np.zeros(2, np.float32), reward, self.time >= 10, False, self.tell(not late)

    def tell(self, legal):
        return {"action_mask": np.full(2, legal, np.int8)} if self.fault == "mask" else {}

    def fail(self):
        if self.fault == "raise":
            raise KeyError("shelf 9")
        if self.fault == "exit always" or (self.fault == "exit" and self.is_first()):
            os._exit(3)
        if self.fault == "hang" and self.is_first():
            time.sleep(10**6)

    def is_first(self):
        try:
            self.flag.touch(exist_ok=False)  # of two runners at the same step only one can
        except FileExistsError:
            return False
        return True


gymnasium.register("Warehouse-v0", Warehouse)  # type: ignore[arg-type]
