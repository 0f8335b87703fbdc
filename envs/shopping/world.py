"""Shopping: search a shop, choose options and buy the product that an instruction describes.

WebShop (Yao et al., "WebShop: Towards scalable real-world web interaction with grounded language
agents", NeurIPS 2022) without its web server: the same pages, transitions and reward over a
generated catalogue, or over the original's files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from envs.contract import counter_rng
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys, Observation
from envs.contract.world import Agent, Step, World, validate_choices
from envs.shopping import baselines as agents
from envs.shopping import observation, pages
from envs.shopping.goals import searches
from envs.shopping.language_observation import LanguageObservation
from envs.shopping.pages import BUY, DONE, LISTED, START
from envs.shopping.params import Params
from envs.shopping.state import State
from envs.shopping.store import Store, get_store
from envs.shopping.texts import Tokens
from rungwise.validation import InputError


class Shopping(World[State]):
    """The world of one :class:`Params`.

    An action [B] is a slot (:mod:`envs.shopping.pages`), or -1 for none. An illegal action only
    counts as invalid, as in WebShop.
    """

    params_type = Params
    episode_metrics: ClassVar = ("score", "success", "length", "bought", "invalid")
    score_metric: ClassVar = "score"
    score_mode: ClassVar = "max"
    baselines: Mapping[str, Agent] = agents.AGENTS

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.store: Store = get_store(params.source)
        self.slots = pages.count_slots(self.store)
        self.tokens: Tokens = self.store.texts.rows
        self.language = (
            _make_language_observation(self.store, params) if params.text == "language" else None
        )
        listed = range(1, self.slots - LISTED + 1)
        self.choice_names = (*pages.BUTTONS, *(f"listed {number}" for number in listed))
        self.observation_space = (
            self.language.space if self.language else observation.make_space(self.store, params)
        )
        self.action_space: gymnasium.Space[Any] = spaces.Discrete(self.slots)

    @property
    def episode_limit(self) -> int:
        """See :class:`World`."""
        return self.params.episode_limit

    def reset(self, keys: Keys) -> tuple[State, Observation]:
        """Return the start pages of goals drawn by keys [B]."""
        # Inverse transform sampling from the weights of the goals.
        goal = np.searchsorted(
            self.store.cumulative_weights,
            counter_rng.uniform(counter_rng.fold(keys, _GOAL)),
            "right",
        )
        return self._first(keys, np.minimum(goal, len(self.store.goals) - 1))

    def reset_to(self, keys: Keys, options: Mapping[str, Any]) -> tuple[State, Observation]:
        """Return the start pages of the goals ``options["goal"]``, one for all copies or [B].

        Raises:
            InputError: an option that is not known, or a goal that does not exist.
        """
        if unknown := set(options) - {"goal"}:
            raise InputError(f"Shopping-v0 has the reset option goal, not {sorted(unknown)}.")
        if "goal" not in options:
            return self.reset(keys)
        goal, count = np.asarray(options["goal"]), len(self.store.goals)
        whole = np.issubdtype(goal.dtype, np.integer) and goal.shape in ((), keys.shape)
        if not whole or ((goal < 0) | (goal >= count)).any():
            raise InputError(
                f"options['goal'] must be a number from 0 to {count - 1}, or one for each of the "
                f"{len(keys)} copies, but it is {options['goal']!r}."
            )
        return self._first(keys, np.broadcast_to(goal.astype(np.int64), keys.shape).copy())

    def _first(self, keys: Keys, goal: Ints) -> tuple[State, Observation]:
        state = pages.make_start_state(keys, goal, self.store, self.params.episode_limit)
        return state, self._observe(state)

    def step(self, state: State, action: Array) -> Step[State]:
        """Click or search in each copy."""
        meaning = f"a slot from 0 to {self.slots - 1}, or -1 for none"
        slot = validate_choices(action, len(state.keys), -1, self.slots, meaning)
        done = state.page == DONE
        mask = pages.compute_legal_mask(state, self.store)
        every = np.arange(len(slot))
        is_legal = mask[every, slot] & (slot >= 0)
        asks = is_legal & (state.page == START) & (slot >= LISTED)
        after = pages.click(state, np.where(is_legal & ~asks, slot, -1), self.store)
        after = self._search(state, after, slot, asks)
        bought = is_legal & (slot == BUY)
        after = dataclasses.replace(
            after,
            # A finished copy stays as it is, because its neighbours may still be playing.
            step=state.step + ~done,
            invalid=state.invalid + ~(is_legal | done),
            score=np.where(bought, 100 * self._compute_purchase_reward(after, bought), state.score),
        )
        return self._step(state, after, bought)

    def _observe(self, state: State) -> Observation:
        return self.language.observe(state) if self.language else observation.observe(self, state)

    def _search(self, before: State, after: State, slot: Ints, asks: Bools) -> State:
        """Return the states after the proposed searches of copies ``asks`` [B]."""
        who = np.flatnonzero(asks)
        if not who.size:
            return after
        instructions = (self.store.goals[goal].instruction for goal in before.goal[who])
        queries = [
            searches(instruction)[choice]
            for instruction, choice in zip(instructions, slot[who] - LISTED, strict=True)
        ]
        searched = before.searched.copy()
        searched[asks, slot[asks] - LISTED] = True
        after = dataclasses.replace(after, searched=searched)
        return pages.search(after, who, np.stack([self.store.search(query) for query in queries]))

    def _step(self, before: State, after: State, bought: Bools) -> Step[State]:
        params = self.params
        reward = bought * after.score / 100
        if params.shaping:
            # Potential-based shaping (Ng, Harada and Russell, 1999) leaves the optimal policy
            # unchanged; the potential is 0 after the purchase.
            gain = params.discount * self.potential(after) - self.potential(before)
            reward = reward + params.shaping * gain
        terminated = after.page == DONE
        return Step(
            state=after,
            observation=self._observe(after),
            reward=reward.astype(np.float32),
            terminated=terminated,
            truncated=(after.step >= params.episode_limit) & ~terminated,
            info={
                "score": after.score,
                "success": (after.score == 100).astype(np.float64),
                "length": after.step,
                "bought": terminated.astype(np.float64),
                "invalid": after.invalid,
            },
        )

    def potential(self, state: State) -> Floats:
        """Return the reward [B] of buying the open item; 0 without one and after the purchase."""
        return self._compute_purchase_reward(state, (state.item >= 0) & (state.page != DONE))

    def _compute_purchase_reward(self, state: State, which: Bools) -> Floats:
        """Compute the reward [B] of buying the open item in copies ``which`` [B]; 0 elsewhere."""
        rewards = np.zeros(len(which))
        for b in np.flatnonzero(which):
            slots = tuple(np.flatnonzero(state.chosen[b]).tolist())
            goal, item = int(state.goal[b]), int(state.item[b])
            rewards[b] = self.store.compute_reward(goal, item, slots, self.params.compat).total
        return rewards

    def summarise(self, episodes: Mapping[str, Floats]) -> dict[str, float]:
        """Return means over episodes [N]: score 0 to 100, success and purchases 0 to 1."""
        return {name: float(np.mean(episodes[name])) for name in self.episode_metrics}


def _make_language_observation(store: Store, params: Params) -> LanguageObservation:
    lengths = params.prompt_tokens, params.action_tokens
    return LanguageObservation(store, params.language_model, *lengths, params.min_texts)


_GOAL = 1
"""The random stream that an episode's goal is drawn from."""
