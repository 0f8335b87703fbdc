# pyright: basic
"""A sweep with every kind of end, and consoles that record what is printed."""

import io
import math

from rich.console import Console
from synthetic_sweep import finding

from rungwise.run_log.events import (
    EndRow,
    JobRow,
    ResultRow,
    TrialRow,
)

JOB = JobRow(
    run="causal-1",
    env="envs:CausalLearning-v0",
    algo="ppo",
    metric="excess_risk",
    mode="min",
    iterations=9,
    trials=12,
    searched=["algo.lr", "algo.clip", "algo.entropy_coef", "env.size"],
    time=0.0,
)


WHY = "stopped at iteration 3: 1.071, cut-off 0.620 (top 3 of 9 continue)"


def rows_of(trials=12):
    """The first ends, the second is NaN, the third still runs, the rest stop at rung 3."""
    rows = []
    for place in range(trials):
        trial, ends = f"{place:02d}", {0: 9, 1: 2, 2: 5}.get(place, 3)
        config = {"algo.lr": 10.0**-place, "algo.clip": 0.2, "algo.entropy_coef": None}
        rows.append(TrialRow(trial=trial, config=config, time=place))
        for i in range(1, ends + 1):
            score = math.nan if place == 1 else (place + 1) / i
            steps = {"seconds": 2.0 * i, "env_steps": i, "time": place + i}
            rows.append(ResultRow(trial=trial, iteration=i, score=score, **steps))
        if place != 2:
            reason = {0: "budget", 1: "health"}.get(place, "asha")
            sentence = {0: "", 1: "the loss\nis NaN"}.get(place, WHY)
            fields = {"reason": reason, "sentence": sentence, "time": place + 9}
            rows.append(EndRow(trial=trial, iteration=ends, **fields))
    return rows


def console(width=80, height=24, terminal=True):
    file = io.StringIO()
    return Console(
        file=file,
        width=width,
        height=height,
        force_terminal=terminal,
        color_system=None,
        legacy_windows=False,
    )


def written(screen):
    return screen.file.getvalue()


def drawn(progress, screen):
    with screen.capture() as capture:
        screen.print(progress._render_screen())
    return capture.get().splitlines()


def noticed(trial, siblings=""):
    about = {"evidence": "KL 14", "remedy": "less", "siblings": siblings}
    return finding(trial, iteration=2, since=1, **about)
