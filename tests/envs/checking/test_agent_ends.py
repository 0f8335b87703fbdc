# pyright: basic
"""An agent that stays in a game after its end is found."""

import math

import pytest
from agent_games import Commuters, Couriers

from envs.agents import AgentView
from envs.checking.agent_ends import find_kept_agent


class Ghosts(Couriers):
    """Keeps agents after their end, for good or until all have ended."""

    for_good = False

    def step(self, actions):
        acted = list(self.agents)
        seen, paid, ends, cuts, infos = super().step(actions)
        over = not self.for_good and all(ends[a] or cuts[a] for a in acted)
        self.agents = [] if over else acted
        return seen, paid, ends, cuts, infos


@pytest.mark.parametrize(("for_good", "severity"), [(True, "stop"), (False, "warn")])
def test_agents_that_stay_after_their_end_are_named(monkeypatch, for_good, severity):
    monkeypatch.setattr(Ghosts, "for_good", for_good)
    found = find_kept_agent(AgentView("ghosts", Ghosts()), math.inf)
    assert found is not None and (found.rule, found.severity) == ("agent_kept", severity)
    assert "a0 of ghosts ended at step 2 of a game, but stayed" in found.sentence
    assert ("no new game began" in found.sentence) == for_good


@pytest.mark.parametrize("game", [Couriers, Commuters])
def test_agents_that_leave_or_come_back_are_in_order(game):
    assert find_kept_agent(AgentView("couriers", game()), math.inf) is None
