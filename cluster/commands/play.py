"""``rungwise play``: shop in the terminal, or watch a policy or a simple rule shop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from envs import counter_rng
from envs.batched import World
from envs.capabilities import SupportsPages, SupportsResetOptions
from envs.validation import InputError, unknown_name_error

ActionChooser: TypeAlias = Callable[[Any, Any, list[str]], str | None]
"""What is done, of a state, its observation and the actions' texts; None gives up."""


def play(
    env: str,
    goal: int,
    watch: str,
    env_kwargs: Mapping[str, Any],
    console: Console,
    read_line: Callable[[], str] | None = None,
) -> dict[str, Any]:
    """One episode in a shop, page by page.

    Args:
        env: the environment, or a preset or job file that names one.
        goal: which of its goals is to be bought.
        watch: a checkpoint, a run directory or a simple rule that shops; empty: the user does.
        env_kwargs: arguments of the environment, by name.
        console: where pages are shown.
        read_line: the next line that is typed; by default from the terminal.

    Returns:
        The instruction, the actions and what the purchase was worth.

    Raises:
        InputError: an environment without pages, a goal it does not have, or a watch that is none.
    """
    from tune_jobs.check import load_check_target

    world = load_check_target(env, env_kwargs=env_kwargs).world
    if not (isinstance(world, SupportsPages) and isinstance(world, SupportsResetOptions)):
        raise InputError(
            f"{env} has no pages to look at: play is for the shop (`rungwise play shop`)."
        )
    choose = _chooser(world, watch) if watch else _typed(console, read_line or console.input)
    keys = counter_rng.make_keys(0, 1)
    state, observed = world.reset_to(keys, {"goal": goal})
    actions: list[str] = []
    info: dict[str, Any] = dict.fromkeys(("bought", "score", "success", "invalid"), np.zeros(1))
    over = False
    while not over:
        console.rule(f"step {int(state.step[0]) + 1} of {world.episode_limit}")
        for piece in world.render_page(state, 0).split(" [SEP] "):
            console.print(Padding(Text(piece), (0, 0, 0, 2)))
        text = choose(state, observed, world.render_actions(state, 0))
        if text is None:
            break
        if watch:
            console.print(Text(f"→ {text}", style="bold green"))
        step = world.step(state, world.parse_actions(state, [text]))
        if step.info["invalid"][0] > info["invalid"][0]:
            console.print(Text(f"{text} does nothing here.", style="yellow"))
        actions.append(text)
        state, observed, info = step.state, step.observation, step.info
        over = bool(step.terminated[0] or step.truncated[0])
    answer = {
        "instruction": world.get_instruction(state, 0),
        "actions": actions,
        "bought": bool(info["bought"][0]),
        "score": float(info["score"][0]),
        "success": bool(info["success"][0]),
    }
    _print_result(answer, console)
    return answer


def _typed(console: Console, read_line: Callable[[], str]) -> ActionChooser:
    """Someone who types the number of an action, or an action in words."""

    def choose(state: Any, observed: Any, texts: list[str]) -> str | None:
        offered = [text for text in texts if text]
        for number, text in enumerate(offered, 1):
            console.print(Text(f"{number:3d}  {text}", style="cyan"))
        console.print(Text("A number, search[words], click[name], or q to leave.", style="dim"))
        while True:
            try:
                said = read_line().strip()
            except EOFError:
                return None
            if said == "q":
                return None
            if said.isdecimal() and 1 <= int(said) <= len(offered):
                return offered[int(said) - 1]
            if said.endswith("]") and said.startswith(("search[", "click[")):
                return said
            console.print(f"Type a number from 1 to {len(offered)}, not {escape(repr(said))}.")

    return choose


def _chooser(world: World[Any], watch: str) -> ActionChooser:
    """A checkpoint's policy, or one of the environment's simple rules."""
    if watch in world.baselines:
        rule, keys = world.baselines[watch], counter_rng.make_keys(0, 1)
        return lambda state, observed, texts: texts[
            int(rule(world, state, counter_rng.fold(keys, int(state.step[0])))[0])
        ]
    if not Path(watch).exists():
        raise unknown_name_error("rule or checkpoint", watch, world.baselines, "to watch")
    from algos.policy import Policy
    from tune_jobs.run_log.best_checkpoint import find_checkpoint

    policy = Policy.load(find_checkpoint(Path(watch)))
    return lambda state, observed, texts: texts[int(policy.act_batch(observed)[0])]


def _print_result(answer: Mapping[str, Any], console: Console) -> None:
    """What it was all worth."""
    console.rule("the end")
    if answer["success"]:
        console.print(Text("Exactly what was asked for: 100 points.", style="bold green"))
    elif answer["bought"]:
        console.print(f"The purchase is worth {answer['score']:.1f} of 100 points.")
    else:
        console.print("Nothing was bought: 0 of 100 points.")
