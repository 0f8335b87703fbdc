# pyright: basic
"""Games of several agents in the form of PettingZoo's parallel environments, without PettingZoo."""

from functools import partial

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.contract.agents import AgentsVectorEnv, AgentView


class Couriers:
    """Three agents see a number each, and are paid for its sign; the later ones are paid more.

    Agent i leaves after ``leaves[i]`` steps, by itself; the game is cut off after ``length``. The
    last agent joins after ``joins`` steps.
    """

    metadata = {"is_parallelizable": True}  # noqa: RUF012
    possible_agents = ("a0", "a1", "a2")

    def __init__(self, leaves=(2, 4, 99), length=5, joins=0, masked=False, different=False):
        self.leaves, self.length, self.joins = leaves, length, joins
        self.masked, self.different = masked, different
        self.closed = False

    def observation_space(self, agent):
        return spaces.Box(-1, 1, (3 if self.different and agent == "a2" else 2,), np.float32)

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        if seed is not None or not hasattr(self, "rng"):
            self.rng = np.random.default_rng(seed)
        self.time = 0
        self.agents = [a for a in self.possible_agents if a != "a2" or not self.joins]
        return self.look(), self.tell()

    def look(self):
        self.seen = {
            a: np.array([self.rng.uniform(-1, 1), self.time / 10], np.float32)
            for a in self.possible_agents
        }
        return {a: self.seen[a].copy() for a in self.agents}

    def tell(self):
        mask = np.array([1, 1], np.int8)
        return {a: {"action_mask": mask.copy()} if self.masked else {} for a in self.agents}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        paid = {
            a: float((i + 1) * (int(actions[a]) == (self.seen[a][0] > 0)))
            for i, a in enumerate(self.possible_agents)
            if a in self.agents
        }
        self.time += 1
        acted = list(self.agents)
        ends = {a: self.time >= self.leaves[self.possible_agents.index(a)] for a in acted}
        cuts = {a: self.time >= self.length and not ends[a] for a in acted}
        seen, infos = self.look(), self.tell()
        self.agents = [a for a in acted if not (ends[a] or cuts[a])]
        if self.joins == self.time:
            self.agents.append("a2")
            seen["a2"] = self.seen["a2"]
            infos["a2"] = {}
        return seen, paid, ends, cuts, infos

    def close(self):
        self.closed = True


class Commuters(Couriers):
    """Couriers who miss some steps of the game, and are paid 10 for each of them.

    Args:
        away: agent -> first step that it misses, and the one at which it is back.
        chosen: what Couriers are given.
    """

    def __init__(self, away=None, **chosen):
        super().__init__(**{"leaves": (99, 99, 99), "length": 9} | chosen)
        self.away = away or {"a0": (2, 4), "a1": (1, 6), "a2": (5, 99)}
        self.diary = []

    def reset(self, seed=None, options=None):
        self.out = []
        return super().reset(seed, options)

    def step(self, actions):
        saw = {a: self.seen[a].copy() for a in self.agents}
        seen, paid, ends, cuts, _ = super().step(actions)
        paid |= dict.fromkeys(self.out, 10.0)
        away = {a for a, (first, back) in self.away.items() if first <= self.time < back}
        playing = bool(self.agents)
        here = [a for a in self.possible_agents if a in self.agents or a in self.out]
        self.out = [a for a in here if a in away]
        self.agents = [a for a in here if a not in away] if playing else []
        over = {a: seen[a] for a in ends if ends[a] or cuts[a]}
        seen = {a: self.seen[a].copy() for a in self.agents} | over
        self.diary.append((saw, paid, ends, cuts, seen, not self.agents))
        return seen, paid, ends, cuts, {a: {} for a in self.agents}


class Pennies(Couriers):
    """Two agents: the first wins what the second loses where they choose alike."""

    possible_agents = ("a0", "a1")

    def __init__(self):
        super().__init__(leaves=(3, 3))

    def step(self, actions):
        won = 1.0 if actions["a0"] == actions["a1"] else -1.0
        seen, _, *rest = super().step(actions)
        return seen, {"a0": won, "a1": -won}, *rest


def _register(name, game=Couriers, **chosen):
    gymnasium.register(
        name,
        lambda **kwargs: AgentView(name, game(**(chosen | kwargs))),
        vector_entry_point=lambda num_envs, **kwargs: AgentsVectorEnv(
            name, partial(game, **(chosen | kwargs)), num_envs
        ),
        disable_env_checker=True,
    )


_register("Couriers-v0")
_register("CouriersMasked-v0", masked=True)
_register("CouriersLate-v0", joins=2)
_register("Commuters-v0", Commuters)
_register("Pennies-v0", Pennies)


def parallel_env(**kwargs):
    """PettingZoo's name of the factory of a module."""
    return Couriers(**kwargs)
