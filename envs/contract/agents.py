"""Games of several agents (PettingZoo) as Gymnasium vector environments: agents are rows.

Row ``game * A + agent`` of a batch is one of the A agents of one of the games. Agents that have
left a game, have not joined it or miss some of its steps are absent: ``infos[PRESENT]`` [rows] says
whose next action counts, and the observation of the others is a placeholder. A game starts anew in
the step in which its last agent leaves. All agents share one policy, so their spaces must be equal.
"""

from __future__ import annotations

import copy
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from envs.contract.action_masks import MASK_PART, PARTS, count_choices, is_mask_of, sample_legal
from envs.contract.counter_rng import derive_seed
from envs.contract.pytree import Array
from envs.contract.scalar_actions import restore_scalars
from envs.contract.violations import Clock
from rungwise.optional_imports import import_extra
from rungwise.validation import InputError

PRESENT = "present_agents"
"""Entry of ``infos`` with the rows [rows] whose agents are in their game."""
PREFIX = "pettingzoo"
"""The module in ids of games: ``pettingzoo:mpe2.simple_spread_v3``."""
GAMES_TO_APPEAR = 8
"""Finished games after which each possible agent must have appeared once."""

Make = Callable[[], Any]
"""Makes a parallel environment of PettingZoo."""


def register_game(name: str) -> None:
    """Register the game of a module as a Gymnasium environment by the module's name.

    Its single environment is the view of one agent among others that act at random; its vector
    environment holds all agents.
    """
    if name not in gymnasium.registry:
        gymnasium.register(
            name,
            entry_point=partial(make_agent_view, name),
            vector_entry_point=partial(make_agents, name),
            disable_env_checker=True,
        )


def make_agents(name: str, num_envs: int, **kwargs: object) -> AgentsVectorEnv:
    """Return ``num_envs`` games of a module."""
    return AgentsVectorEnv(name, partial(make_parallel, name, **kwargs), num_envs)


def make_agent_view(name: str, **kwargs: object) -> AgentView:
    """Return one agent's view of the game of a module."""
    return AgentView(name, make_parallel(name, **kwargs))


def make_parallel(name: str, **kwargs: object) -> Any:
    """Return the parallel environment of a module, by PettingZoo's own conversion if need be.

    Raises:
        InputError: the module has neither ``parallel_env`` nor ``env``.
    """
    module = importlib.import_module(name)
    if make := getattr(module, "parallel_env", None):
        return make(**kwargs)
    if make := getattr(module, "env", None):
        conversions = import_extra("pettingzoo.utils.conversions", PREFIX)
        game = make(**kwargs)
        if game.metadata.get("is_parallelizable"):
            return conversions.aec_to_parallel(game)
        return conversions.turn_based_aec_to_parallel(game)
    raise InputError(
        f"{name} has neither `parallel_env` nor `env`, one of which makes a game of PettingZoo: "
        "name the module that defines one of them."
    )


def find_shared_spaces(name: str, game: Any) -> tuple[spaces.Space[Any], spaces.Space[Any]]:
    """Return the spaces of observations and actions that all agents of a game share.

    Raises:
        InputError: its agents are not known beforehand, or their spaces differ.
    """
    agents: list[Any] = list(getattr(game, "possible_agents", ()))
    if not agents:
        raise InputError(
            f"{name} does not say which agents can appear: give it a list `possible_agents`."
        )
    groups: list[tuple[Any, list[str]]] = []
    for agent in agents:
        pair = (game.observation_space(agent), game.action_space(agent))
        members = next((members for other, members in groups if other == pair), None)
        if members is None:
            groups.append((pair, [str(agent)]))
        else:
            members.append(str(agent))
    if len(groups) > 1:
        described = "; ".join(
            f"{', '.join(members)}: observations {observed}, actions {acted}"
            for (observed, acted), members in groups
        )
        raise InputError(
            f"The agents of {name} share one policy, but their spaces differ ({described}): make "
            "them equal in a module of your own whose `parallel_env` returns this game in "
            "SuperSuit's pad_observations_v0 and pad_action_space_v0, and name that module."
        )
    return groups[0][0]


class AgentsVectorEnv(VectorEnv[Any, Any, Array]):
    """B games of A agents as a vector environment of B A rows; see the module's docstring."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(self, name: str, make: Make, games: int) -> None:
        self.name, self.games = name, [make() for _ in range(games)]
        observed, acted = find_shared_spaces(name, self.games[0])
        self.agents: list[Any] = list(self.games[0].possible_agents)
        self.num_envs = games * len(self.agents)
        self.single_observation_space, self.single_action_space = observed, acted
        self.observation_space = batch_space(observed, self.num_envs)
        self.action_space = batch_space(acted, self.num_envs)
        self.placeholder = make_placeholder(observed, acted)
        self.unseen, self.finished = set(self.agents), 0
        self.kept: set[Any] = set()
        """Agents that were still in their game after their end."""

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start all games, with consecutive seeds.

        Raises:
            ValueError: a seed for each row, although agents share a game.
        """
        if isinstance(seed, Sequence):
            raise ValueError("Games take one seed for all: their agents share it.")
        rows = _Rows(self)
        for number, game in enumerate(self.games):
            rows.show(number, *_reset(game, None if seed is None else seed + number, options))
        return rows.batch_observations(), rows.make_infos()

    def step(self, actions: object) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Let all agents act; the actions of absent ones are ignored."""
        rows, count = _Rows(self), len(self.agents)
        space = self.single_action_space
        chosen = [restore_scalars(space, row) for row in iterate(self.action_space, actions)]
        rewards = np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        final: list[Any] = [self.placeholder] * self.num_envs
        for number, game in enumerate(self.games):
            row_of = {agent: number * count + a for a, agent in enumerate(self.agents)}
            acting = list(game.agents)
            observed, paid, ends, cuts, infos = game.step({a: chosen[row_of[a]] for a in acting})
            for agent, row in row_of.items():
                # Absent agents, too: a game may pay an agent, or end for it, while it is away.
                rewards[row] = paid.get(agent, 0.0)
                terminated[row], truncated[row] = ends.get(agent, False), cuts.get(agent, False)
                if terminated[row] or truncated[row]:
                    self.kept |= {agent}.intersection(game.agents)
                    # A copy: the game may reuse its arrays when it starts anew below.
                    final[row] = copy.deepcopy(observed.get(agent, self.placeholder))
            if game.agents:
                rows.show(number, observed, infos)
                continue
            # The rows of all agents end with their game, also of those that left it before. A time
            # limit that cuts the others off keeps an absent agent from coming back.
            of_game = slice(number * count, (number + 1) * count)
            absent = np.array([agent not in acting for agent in self.agents])
            truncated[of_game] |= absent & ~terminated[of_game] & truncated[of_game].any()
            terminated[of_game] |= ~(terminated[of_game] | truncated[of_game])
            rows.show(number, *_reset(game))
            self._count_game()
        infos = rows.make_infos()
        if (ended := terminated | truncated).any():
            infos |= {"final_obs": self.concatenate(final), "_final_obs": ended}
        return rows.batch_observations(), rewards, terminated, truncated, infos

    def concatenate(self, observations: Sequence[Any]) -> Any:
        """Return one observation for each row as a batch."""
        space = self.single_observation_space
        return concatenate(space, observations, create_empty_array(space, self.num_envs))

    def _count_game(self) -> None:
        self.finished += 1
        if self.finished == GAMES_TO_APPEAR and self.unseen:
            missing = " and ".join(sorted(map(str, self.unseen)))
            raise InputError(
                f"{missing} of {self.name} appeared in none of {GAMES_TO_APPEAR} games: remove "
                "what never appears from possible_agents."
            )

    def close_extras(self, **kwargs: object) -> None:
        """Close all games."""
        for game in self.games:
            game.close()


def check_appearances(
    env: VectorEnv[Any, Any, Any], seconds: float, clock: Clock = time.monotonic, games: int = 0
) -> None:
    """Play games at random until each agent has appeared; most games show all from the start.

    Does nothing for environments of a single agent.

    Args:
        env: the environment.
        seconds: time after which nothing is known about agents that have not appeared.
        clock: measures these seconds.
        games: games that are played in any case.

    Raises:
        InputError: an agent that appears in none of ``GAMES_TO_APPEAR`` games.
    """
    inner = env.unwrapped
    if not isinstance(inner, AgentsVectorEnv):
        return
    deadline, single = clock() + seconds, copy.deepcopy(env.single_action_space)
    single.seed(derive_seed(0, "actions"))
    observations, _ = env.reset(seed=0)
    while clock() < deadline and inner.finished < (GAMES_TO_APPEAR if inner.unseen else games):
        masks = observations.get(MASK_PART) if isinstance(observations, Mapping) else None
        if masks is None or not is_mask_of(single, masks[0]):
            masks = [None] * env.num_envs
        drawn = [sample_legal(single, mask) for mask in masks]
        actions = concatenate(single, drawn, create_empty_array(single, env.num_envs))
        observations, *_ = env.step(actions)


def count_agents(env: VectorEnv[Any, Any, Any]) -> int:
    """Return the agents of each game; 1 for environments of a single agent."""
    inner = env.unwrapped
    return len(inner.agents) if isinstance(inner, AgentsVectorEnv) else 1


def locate_row(env: VectorEnv[Any, Any, Any], row: int) -> str:
    """Say where a row of a vector environment is: in which copy, or in which game which agent."""
    inner = env.unwrapped
    if not isinstance(inner, AgentsVectorEnv):
        return f"in copy {row}"
    number, agent = divmod(row, len(inner.agents))
    return f"for {inner.agents[agent]} of game {number}"


class _Rows:
    """Observations and masks of a batch's rows after a step."""

    def __init__(self, env: AgentsVectorEnv) -> None:
        self.env = env
        self.observations = [env.placeholder] * env.num_envs
        self.present = np.zeros(env.num_envs, bool)
        self.masks: list[Any] = [None] * env.num_envs

    def show(self, number: int, observed: Mapping[Any, Any], infos: Mapping[Any, Any]) -> None:
        """Show what the agents of a game see."""
        env, game = self.env, self.env.games[number]
        for a, agent in enumerate(env.agents):
            if agent not in game.agents or agent not in observed:
                continue
            row = number * len(env.agents) + a
            env.unseen.discard(agent)
            self.present[row], self.observations[row] = True, observed[agent]
            self.masks[row] = infos.get(agent, {}).get("action_mask")
            if _is_waiting(game, agent):
                self._force_first(row)

    def _force_first(self, row: int) -> None:
        """Leave one legal action to an agent whose turn it is not: no choice, nothing to learn."""
        space, view = self.env.single_action_space, self.observations[row]
        if count_choices(space) < 0:
            return
        sizes = space.nvec if isinstance(space, spaces.MultiDiscrete) else [count_choices(space)]
        forced = np.concatenate([np.arange(size) == 0 for size in sizes]).astype(np.int8)
        part = next((p for p in PARTS if isinstance(view, Mapping) and p in view), None)
        if part is None:
            self.masks[row] = forced
        else:
            self.observations[row] = {**view, part: forced.astype(np.asarray(view[part]).dtype)}

    def batch_observations(self) -> Any:
        """Return the observations [rows, ...]."""
        return self.env.concatenate(self.observations)

    def make_infos(self) -> dict[str, Any]:
        """Return who acts next, and the masks [rows, choices] if any agent has one."""
        infos: dict[str, Any] = {PRESENT: self.present}
        if any(mask is not None for mask in self.masks):
            every = np.ones(count_choices(self.env.single_action_space), np.int8)
            masks = [every if mask is None else np.asarray(mask, np.int8) for mask in self.masks]
            infos |= {"action_mask": np.stack(masks)}
        return infos


def _reset(
    game: Any, seed: int | None = None, options: dict[str, Any] | None = None
) -> tuple[Any, Any]:
    """Return what the agents of a new game see, and their infos."""
    return game.reset(seed=seed, options=options)


def _is_waiting(game: Any, agent: object) -> bool:
    """Return whether it is another agent's turn in a game of turns."""
    turn = getattr(getattr(game, "aec_env", None), "agent_selection", agent)
    return turn != agent and not game.metadata.get("is_parallelizable", False)


def make_placeholder(observed: spaces.Space[Any], acted: spaces.Space[Any]) -> Any:
    """Return the observation of absent agents: always the same, with every action legal."""
    space: spaces.Space[Any] = copy.deepcopy(observed)
    space.seed(0)
    shown: Any = space.sample()
    for part in PARTS:
        if isinstance(space, spaces.Dict) and part in space.spaces:
            mask = np.ones_like(shown[part])
            shown[part] = mask if mask.shape == (count_choices(acted),) else shown[part]
    return shown


class AgentView(gymnasium.Env[Any, Any]):
    """The game of one agent, the first that is there at the start; others act at random."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own declaration)

    def __init__(self, name: str, game: Any) -> None:
        self.name, self.game = name, game
        self.observation_space, self.action_space = find_shared_spaces(name, game)
        self.agent: Any = None
        self.others = copy.deepcopy(self.action_space)
        self.seen: dict[Any, Any] = {}
        self.infos: dict[Any, dict[str, Any]] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a game, and let others act until it is the agent's turn.

        Raises:
            InputError: the game ends before the agent can act.
        """
        super().reset(seed=seed)
        self.others.seed(int(self.np_random.integers(2**31)))
        self.seen, self.infos = _reset(self.game, seed, options)
        self.agent = next(iter(self.game.agents), None)
        while self.agent in self.game.agents and _is_waiting(self.game, self.agent):
            self._play({})
        if self.agent not in self.game.agents:
            raise InputError(
                f"{self.name} began with the agents {list(self.game.agents)}, of which none could "
                "act: keep at least one in `agents` from reset() to its first step."
            )
        return self.seen[self.agent], self.infos.get(self.agent, {})

    def step(self, action: object) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act, and let others act until it is the agent's turn again."""
        paid, ended, cut = self._play({self.agent: action})
        while not (ended or cut) and _is_waiting(self.game, self.agent):
            more, ended, cut = self._play({})
            paid += more
        info = dict(self.infos.get(self.agent, {}))
        return self.seen[self.agent], paid, ended, cut, info

    def _play(self, moves: Mapping[Any, Any]) -> tuple[float, bool, bool]:
        """Take a step in which others act at random; return the agent's reward and ends."""
        agent = self.agent
        actions = {other: self._draw(other) for other in self.game.agents}
        observed, paid, ends, cuts, self.infos = self.game.step({**actions, **moves})
        # The final observation is kept where the game shows none after the end.
        self.seen = {**self.seen, **observed}
        cut = bool(cuts.get(agent, False))
        ended = bool(ends.get(agent, False)) or (agent not in self.game.agents and not cut)
        return float(paid.get(agent, 0.0)), ended, cut

    def _draw(self, agent: object) -> Any:
        """Return a random legal action."""
        observed, info = self.seen.get(agent), self.infos.get(agent, {})
        parts: Mapping[str, Any] = observed if isinstance(observed, Mapping) else {}
        mask = next((parts[part] for part in PARTS if part in parts), info.get("action_mask"))
        return sample_legal(self.others, mask)

    def close(self) -> None:
        """Close the game."""
        self.game.close()
