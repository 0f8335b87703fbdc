"""``rungwise play``: shop in the terminal, or watch a policy or a baseline shop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from cluster.commands.checkpoints import choose_checkpoint
from cluster.commands.command import EnvironmentCommand
from cluster.errors import Answer
from envs import counter_rng
from envs.batched import Step, World
from envs.capabilities import SupportsPages, SupportsResetOptions
from envs.validation import InputError, unknown_name_error

ActionChooser: TypeAlias = Callable[[Any, Any, list[str]], str | None]
"""Choose an action from a state, its observation and the texts of its actions; None gives up."""


class PlayableWorld(SupportsPages, SupportsResetOptions, Protocol):
    """A world that has pages and whose episodes can be chosen."""

    @property
    def episode_limit(self) -> int | None:
        """Steps after which an episode ends."""
        ...

    def step(self, state: Any, action: Any) -> Step[Any]:
        """Advance all copies by one step."""
        ...


@dataclass(frozen=True, kw_only=True)
class Play(EnvironmentCommand):
    """Shop in the terminal, or watch a policy shop: `rungwise play shop`."""

    env: tyro.conf.Positional[str]
    """The environment, or a preset or job file that names one."""
    goal: int = 0
    """Number of the goal to buy."""
    watch: str = ""
    """Watch this player instead of shopping yourself: a checkpoint, the directory of a run
    or a trial (its best checkpoint), or a baseline such as `oracle`."""

    def __call__(self, console: Console) -> Answer:
        """Play one episode."""
        return play_episode(self.env, self.goal, self.watch, self.read_env_kwargs(), console)


def play_episode(
    env: str,
    goal: int,
    watch: str,
    env_kwargs: Mapping[str, Any],
    console: Console,
    read_line: Callable[[], str] | None = None,
) -> Answer:
    """Play one episode in a shop, page by page.

    Args:
        env: the environment, or a preset or job file that names one.
        goal: number of the goal to buy.
        watch: the checkpoint, run directory or baseline that shops; empty lets the user shop.
        env_kwargs: arguments of the environment, by name.
        console: prints the pages.
        read_line: returns the next line that the user types; by default from the terminal.

    Returns:
        The instruction, the actions and the score of the purchase.

    Raises:
        InputError: the environment has no pages, or the goal or the player does not exist.
    """
    from tune_jobs.check import load_check_target

    world = load_check_target(env, env_kwargs=env_kwargs).world
    if not (isinstance(world, SupportsPages) and isinstance(world, SupportsResetOptions)):
        raise InputError(
            f"{env} has no pages to show: play the shop instead (`rungwise play shop`)."
        )
    choose = (
        _make_player(world, watch) if watch else _make_typist(console, read_line or console.input)
    )
    answer = _play_to_end(world, goal, choose, console, echo=bool(watch))
    _print_result(answer, console)
    return answer


def _play_to_end(
    world: PlayableWorld, goal: int, choose: ActionChooser, console: Console, echo: bool
) -> Answer:
    """Play until the episode ends or the player gives up; ``echo`` prints the chosen actions."""
    # Always the same key: the user and every player that is watched get the same episode.
    state, observation = world.reset_to(counter_rng.make_keys(0, 1), {"goal": goal})
    actions: list[str] = []
    info: dict[str, Any] = dict.fromkeys(("bought", "score", "success", "invalid"), np.zeros(1))
    ended = False
    while not ended:
        console.rule(f"step {int(state.step[0]) + 1} of {world.episode_limit}")
        for piece in world.render_page(state, 0).split(" [SEP] "):
            console.print(Padding(Text(piece), (0, 0, 0, 2)))
        text = choose(state, observation, world.render_actions(state, 0))
        if text is None:
            break
        if echo:
            console.print(Text(f"→ {text}", style="bold green"))
        step = world.step(state, world.parse_actions(state, [text]))
        if step.info["invalid"][0] > info["invalid"][0]:
            console.print(Text(f"{text} does nothing here.", style="yellow"))
        actions.append(text)
        state, observation, info = step.state, step.observation, step.info
        ended = bool(step.terminated[0] or step.truncated[0])
    return {
        "instruction": world.get_instruction(state, 0),
        "actions": actions,
        "bought": bool(info["bought"][0]),
        "score": float(info["score"][0]),
        "success": bool(info["success"][0]),
    }


def _make_typist(console: Console, read_line: Callable[[], str]) -> ActionChooser:
    """Make a chooser that asks the user for the number of an action, or the action itself."""

    def choose(state: Any, observation: Any, texts: list[str]) -> str | None:
        offered = [text for text in texts if text]
        for number, text in enumerate(offered, 1):
            console.print(Text(f"{number:3d}  {text}", style="cyan"))
        console.print(Text("A number, search[words], click[name], or q to leave.", style="dim"))
        while True:
            try:
                typed = read_line().strip()
            except EOFError:
                return None
            if typed == "q":
                return None
            if typed.isdecimal() and 1 <= int(typed) <= len(offered):
                return offered[int(typed) - 1]
            if typed.endswith("]") and typed.startswith(("search[", "click[")):
                return typed
            console.print(f"Type a number from 1 to {len(offered)}, not {escape(repr(typed))}.")

    return choose


def _make_player(world: World[Any], watch: str) -> ActionChooser:
    """Make a chooser that follows a checkpoint's policy or one of the environment's baselines."""
    if watch in world.baselines:
        baseline, keys = world.baselines[watch], counter_rng.make_keys(0, 1)
        return lambda state, observation, texts: texts[
            int(baseline(world, state, counter_rng.fold(keys, int(state.step[0])))[0])
        ]
    if not Path(watch).exists():
        raise unknown_name_error("baseline or checkpoint", watch, world.baselines, "to watch")
    from algos.policy import Policy
    from tune_jobs.evaluation.policy_player import PolicyPlayer

    player = PolicyPlayer(Policy.load(choose_checkpoint(Path(watch), plays=True)), greedy=True)
    player.start_episodes(1)
    return lambda state, observation, texts: texts[int(player(state, observation, None)[0])]


def _print_result(answer: Mapping[str, Any], console: Console) -> None:
    """Print the score of the purchase."""
    console.rule("the end")
    if answer["success"]:
        console.print(Text("Exactly what was asked for: 100 points.", style="bold green"))
    elif answer["bought"]:
        console.print(f"The purchase is worth {answer['score']:.1f} of 100 points.")
    else:
        console.print("Nothing was bought: 0 of 100 points.")
