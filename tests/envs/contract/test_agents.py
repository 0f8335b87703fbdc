# pyright: basic, reportAttributeAccessIssue=false
"""Games of several agents: every agent is a row, and absent ones are said to be."""

import importlib

import numpy as np
import pytest
from agent_games import Commuters, Couriers
from gymnasium import spaces
from stepping_clock import SteppingClock

from envs.contract.action_masks import sample_legal
from envs.contract.agents import (
    GAMES_TO_APPEAR,
    PRESENT,
    AgentsVectorEnv,
    AgentView,
    check_appearances,
    count_agents,
    find_shared_spaces,
    make_parallel,
)
from rungwise.validation import InputError

AGENTS = Couriers.possible_agents


def play_plainly(game, seed, actions):
    """Yield for each step of one game what its agents see, get and lose, in a plain loop."""
    seen, _ = game.reset(seed=seed)
    for action in actions:
        present = list(game.agents)
        after, paid, ends, cuts, _ = game.step({a: action[AGENTS.index(a)] for a in present})
        if not game.agents:
            seen_next, _ = game.reset()
        else:
            seen_next = {a: after[a] for a in game.agents}
        yield present, seen, after, paid, ends, cuts
        seen = seen_next


@pytest.mark.parametrize("options", [{}, {"joins": 2}, {"leaves": (1, 1, 1)}])
def test_rows_are_the_agents_of_a_plain_loop(options):
    steps, games = 23, 2
    env = AgentsVectorEnv("couriers", lambda: Couriers(**options), games)
    actions = np.random.default_rng(0).integers(2, size=(steps, games * 3))
    plain = [
        play_plainly(Couriers(**options), 5 + g, actions[:, 3 * g : 3 * g + 3])
        for g in range(games)
    ]
    observation, infos = env.reset(seed=5)
    for t in range(steps):
        found = env.step(actions[t])
        after, rewards, terminated, truncated, then = found
        for g in range(games):
            present, seen, last, paid, ends, cuts = next(plain[g])
            for a, agent in enumerate(AGENTS):
                row = 3 * g + a
                assert infos[PRESENT][row] == (agent in present)
                assert observation[row] in env.single_observation_space
                if agent not in present:
                    assert rewards[row] == 0
                    continue
                np.testing.assert_array_equal(observation[row], seen[agent])
                assert rewards[row] == paid[agent]
                assert terminated[row] == ends[agent]
                assert truncated[row] == cuts[agent]
                if ends[agent] or cuts[agent]:
                    np.testing.assert_array_equal(then["final_obs"][row], last[agent])
        observation, infos = after, then
    env.close()
    assert all(game.closed for game in env.games)


def test_final_observations_outlive_arrays_that_a_game_reuses():
    class Thrifty(Couriers):
        def look(self):
            seen = super().look()
            self.own = getattr(self, "own", {a: np.zeros(2, np.float32) for a in AGENTS})
            for agent, array in seen.items():
                self.own[agent][:] = array
            return {agent: self.own[agent] for agent in seen}

    finals = []
    for game in (Couriers, Thrifty):
        env = AgentsVectorEnv("couriers", game, 1)
        env.reset(seed=3)
        infos = [env.step(np.zeros(3, np.int64))[-1] for _ in range(5)]
        finals.append(infos[-1]["final_obs"][2])
    np.testing.assert_array_equal(*finals)
    assert finals[0][1] == np.float32(0.5)


def test_a_game_ends_for_the_rows_of_absent_agents_too():
    env = AgentsVectorEnv("couriers", Couriers, 1)
    env.reset(seed=0)
    ends = [env.step(np.zeros(3, np.int64))[2:4] for _ in range(5)]
    assert [(ended | cut).tolist() for ended, cut in ends] == [
        [False] * 3,
        [True, False, False],
        [False] * 3,
        [False, True, False],
        [True, True, True],
    ]


def test_absent_agents_are_paid_and_cut_off_with_their_game():
    away = {"a0": (2, 4), "a1": (7, 99)}
    env = AgentsVectorEnv("commuters", lambda: Commuters(away, leaves=(99, 99, 3)), 1)
    _, infos = env.reset(seed=0)
    for time in range(9):
        here = [not 2 <= time < 4, time < 7, time < 3]
        assert infos[PRESENT].tolist() == here
        _, rewards, terminated, truncated, infos = env.step(np.zeros(3, np.int64))
        paid = [10 if time in (2, 3) else 1, 10 if time >= 7 else 2, 3 if time < 3 else 0]
        assert all(rewards[row] in (0, paid[row]) for row in range(3))
        assert rewards[0] >= 10 * (time in (2, 3)) and rewards[1] >= 10 * (time >= 7)
        assert terminated.tolist() == [False, False, time == 2]
        # The game ends by the time limit: for the agent that is away, too.
        assert truncated.tolist() == [time == 8, time == 8, time == 8]


def test_an_agent_that_never_appears_is_refused():
    env = AgentsVectorEnv("couriers", lambda: Couriers(joins=99), 1)
    env.reset(seed=0)
    for _ in range(4 * GAMES_TO_APPEAR - 1):  # without its last agent a game lasts 4 steps
        env.step(np.zeros(3, np.int64))
    with pytest.raises(InputError, match=f"a2 of couriers appeared in none of {GAMES_TO_APPEAR}"):
        env.step(np.zeros(3, np.int64))


def test_an_agent_that_never_appears_is_found_by_playing():
    env = AgentsVectorEnv("couriers", lambda: Couriers(joins=99), 2)
    with pytest.raises(InputError, match=r"a2 of couriers appeared in none.*remove what never"):
        check_appearances(env, 60.0)
    assert env.finished == GAMES_TO_APPEAR


@pytest.mark.parametrize(("joins", "played"), [(0, False), (3, True)])
def test_games_are_played_only_until_all_agents_have_appeared(joins, played):
    env = AgentsVectorEnv("couriers", lambda: Couriers(joins=joins), 1)
    check_appearances(env, 60.0)
    assert not env.unseen and env.finished == 0
    assert (env.games[0].time > 0) == played


class Ghosts(Couriers):
    """Keeps agents after their end, for good or until all have ended."""

    for_good = False

    def step(self, actions):
        acted = list(self.agents)
        seen, paid, ends, cuts, infos = super().step(actions)
        over = not self.for_good and all(ends[a] or cuts[a] for a in acted)
        self.agents = [] if over else acted
        return seen, paid, ends, cuts, infos


@pytest.mark.parametrize("for_good", [True, False])
def test_agents_that_stay_in_their_game_after_their_end_are_kept(monkeypatch, for_good):
    monkeypatch.setattr(Ghosts, "for_good", for_good)
    env = AgentsVectorEnv("ghosts", Ghosts, 1)
    check_appearances(env, 9.0, SteppingClock(look_s=0.1), games=2)
    assert env.kept == ({"a0", "a1", "a2"} if for_good else {"a0", "a1"})
    assert env.finished == (0 if for_good else 2)


@pytest.mark.parametrize("game", [Couriers, Commuters])
def test_agents_that_leave_or_come_back_are_not_kept(game):
    env = AgentsVectorEnv("couriers", game, 1)
    check_appearances(env, 60.0, games=2)
    assert not env.kept and env.finished == 2


def test_nothing_is_said_of_agents_when_the_time_is_up():
    env = AgentsVectorEnv("couriers", lambda: Couriers(joins=99), 1)
    check_appearances(env, 1.0, SteppingClock(look_s=0.1))
    assert 0 < env.games[0].time < 4 * GAMES_TO_APPEAR and env.unseen


@pytest.mark.parametrize(
    ("game", "words"),
    [
        (Couriers(different=True), r"couriers share.*\(a0, a1: observations Box\(.*actions Disc"),
        (Couriers(different=True), r"; a2: observations Box.*\): make them equal in a module of"),
        (type("Crowd", (), {})(), "give it a list `possible_agents`"),
    ],
)
def test_agents_that_cannot_share_a_policy_are_refused(game, words):
    with pytest.raises(InputError, match=words):
        find_shared_spaces("couriers", game)


def test_each_row_cannot_have_a_seed_of_its_own():
    env = AgentsVectorEnv("couriers", Couriers, 2)
    with pytest.raises(ValueError, match="one seed"):
        env.reset(seed=[1] * 6)
    assert count_agents(env) == 3


def test_the_view_of_one_agent_is_an_ordinary_environment():
    views = [AgentView("couriers", Couriers()) for _ in range(2)]
    for seed in range(3):
        first, second = (view.reset(seed=seed)[0] for view in views)
        over = False
        while not over:
            np.testing.assert_array_equal(first, second)
            action = int(first[0] > 0)
            (first, reward, over, cut, _), (second, *_) = (view.step(action) for view in views)
            assert reward == 1.0
            over = over or cut


def test_the_view_is_that_of_an_agent_that_is_there_at_the_start():
    class Later(Couriers):
        possible_agents = ("a2", "a0", "a1")

    view = AgentView("couriers", Later(joins=2))
    view.reset(seed=0)
    assert view.agent == "a0"


def test_a_game_that_begins_without_agents_is_refused():
    class Empty(Couriers):
        def reset(self, **kwargs):
            super().reset(**kwargs)
            self.agents = []
            return {}, {}

    with pytest.raises(InputError, match=r"couriers began with the agents \[\].*: keep at least"):
        AgentView("couriers", Empty()).reset(seed=0)


def test_a_module_without_a_factory_is_refused():
    with pytest.raises(InputError, match="neither `parallel_env` nor `env`"):
        make_parallel("masked_games")
    assert isinstance(make_parallel("agent_games", length=9), Couriers)


def test_agents_that_wait_for_their_turn_have_one_legal_action():
    pytest.importorskip("pettingzoo", reason="PettingZoo is not installed")
    game = make_parallel("pettingzoo.classic.tictactoe_v3")
    env = AgentsVectorEnv("tictactoe", lambda: game, 1)
    observation, _ = env.reset(seed=0)
    for turn in range(4):
        legal = observation["action_mask"].sum(-1)
        assert legal.tolist() == ([9 - turn, 1] if turn % 2 == 0 else [1, 9 - turn])
        action = np.where(observation["action_mask"][:, ::-1] > 0, np.arange(9)[::-1], -1).max(-1)
        observation, *_ = env.step(action)
    assert isinstance(env.single_action_space, spaces.Discrete)


def play_turns(module, chosen, games):
    """Sum what each agent gets in each game, in PettingZoo's own loop over turns."""
    game = importlib.import_module(module).env()
    paid = []
    for number in range(games):
        game.reset(seed=number or None)
        sums = dict.fromkeys(game.possible_agents, 0.0)
        for agent in game.agent_iter():
            _, reward, ended, cut, _ = game.last()
            sums[agent] += reward
            game.step(None if ended or cut else next(chosen))
        paid.append([sums[agent] for agent in game.possible_agents])
    return paid


@pytest.mark.parametrize("name", ["tictactoe_v3", "connect_four_v3", "rps_v2"])
def test_games_of_turns_pay_what_pettingzoos_own_loop_pays(name):
    module = f"pettingzoo.classic.{name}"
    pytest.importorskip("pygame", reason="the games of PettingZoo need pygame")
    pytest.importorskip(module, reason="PettingZoo is not installed")
    env = AgentsVectorEnv(name, lambda: make_parallel(module), 1)
    space, games = env.single_action_space, 5
    space.seed(0)
    observation, _ = env.reset()
    chosen, paid, sums = [], [], np.zeros(2)
    while len(paid) < games:
        masks = observation["action_mask"] if isinstance(observation, dict) else [None, None]
        actions = np.array([sample_legal(space, mask) for mask in masks])
        game = env.games[0].aec_env
        turn = game.agent_selection
        # Where agents act at once, PettingZoo's loop asks one after the other.
        waiting = not env.games[0].metadata["is_parallelizable"]
        chosen += [actions[env.agents.index(turn)]] if waiting else list(actions)
        observation, rewards, terminated, truncated, _ = env.step(actions)
        sums += rewards
        if (terminated | truncated).all():
            paid.append(sums.tolist())
            sums = np.zeros(2)
    assert paid == play_turns(module, iter(chosen), games)
    assert np.any(paid)


def test_a_game_of_pettingzoo_is_made_by_its_module():
    pytest.importorskip("mpe2", reason="the games mpe2 are not installed")
    from algos.rollouts.env_factory import make_vector_env

    env = make_vector_env("pettingzoo:mpe2.simple_spread_v3", {"max_cycles": 3}, 2)
    observation, infos = env.reset(seed=0)
    assert observation.shape == (6, 18)
    for _ in range(3):
        _, rewards, terminated, truncated, infos = env.step(np.zeros(6, np.int64))
    assert np.all(truncated) and not np.any(terminated)
    assert np.all(rewards < 0)
    assert infos["final_obs"].shape == (6, 18)
    env.close()
