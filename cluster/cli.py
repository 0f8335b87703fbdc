"""The command line ``rungwise``.

Every command takes ``--json``: then stdout is exactly one JSON object, also of an error
(``{"error": {"kind", "message"}}``), and everything else goes to stderr. Exit status: 0 on success,
2 for a wrong call, 1 for anything else, 130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console

from cluster.commands.queue import QUEUE_COMMANDS
from cluster.commands.serve import SERVICE_COMMANDS
from cluster.errors import (
    Answer,
    CommandFailed,
    RunInterrupted,
    Terminal,
    Unhealthy,
    WrongCall,
    error_answer,
    parsing,
)
from envs.validation import InputError, InputWarning, unknown_name_error
from tune_jobs.interruption import get_exit_status, treat_sigterm_as_ctrl_c
from tune_jobs.ray_session import RayStartError

if TYPE_CHECKING:
    from tune_jobs.jobs.job import Job


@dataclass(frozen=True)
class RunOptions:
    """Where a run happens and what is printed."""

    out: Path | None = None
    """Run directory; by default runs/<environment>-<date>-<number>."""
    address: str = "local"
    """`local` starts a Ray for this run; else the address of a Ray to join."""
    cpus: int | None = None
    """CPUs to use of this machine (all by default)."""
    quick: bool = False
    """A first look: a tenth of the iterations, at most 10, and 32 episodes to compare on."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


@dataclass(frozen=True)
class Train:
    """Train one setting: `rungwise train causal` or `rungwise train --env CartPole-v1`."""


@dataclass(frozen=True)
class Tune:
    """Search settings: `rungwise tune causal`."""


@dataclass(frozen=True)
class Resume:
    """Go on with a run after Ctrl-C or a crash."""

    run: tyro.conf.Positional[Path]
    """The run directory."""
    address: str = "local"
    """`local` starts a Ray for this run; else the address of a Ray to join."""
    cpus: int | None = None
    """CPUs to use of this machine (all by default)."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


@dataclass(frozen=True)
class Report:
    """Print a run's outcome and draw its report anew."""

    run: tyro.conf.Positional[Path]
    """The run directory."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


@dataclass(frozen=True)
class Ledger:
    """Sum up what runs spent and saved, by the reason each trial ended."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),)
    """Run directories, or folders with runs below them."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> Any:
        """The sums."""
        from cluster.commands.ledger import summarise_ledgers

        return summarise_ledgers(self.runs, console)


@dataclass(frozen=True)
class Evaluate:
    """Compare a checkpoint with random and the family's simple rules on the same seeds."""

    checkpoint: tyro.conf.Positional[Path]
    """A checkpoint directory, or a run directory, whose best checkpoint it is then."""
    episodes: int | None = None
    """Episodes, each on a seed of its own: 256 unless said otherwise, or 32 with --quick."""
    seed: int = 0
    """The first of those seeds; training never uses them."""
    env_kwargs: dict[str, str] = field(default_factory=dict[str, str])
    """Arguments of the environment that differ from those its job evaluates with:
    `--env-kwargs largest 12`."""
    scm: str = ""
    """Of a causal environment: the model or family to compare on, by name or file (my_scm.yaml)."""
    matrix: str = ""
    """Of EdgeSelection: a matrix of your own to choose edges of (.mtx, .mtx.gz, .npz)."""
    quick: bool = False
    """A first look: few episodes, and none of the baselines that take long."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


@dataclass(frozen=True)
class Check:
    """Check within two minutes whether an environment can be learnt from."""

    env: tyro.conf.Positional[str]
    """The environment, or a preset or job file that names one."""
    algo: str = ""
    """The algorithm that is to learn in it; by default the preset's, or ppo."""
    env_kwargs: dict[str, str] = field(default_factory=dict[str, str])
    """Arguments of the environment: `--env-kwargs largest 12`."""
    scm: str = ""
    """Of a causal environment: its model or family, by name or file (my_scm.yaml)."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


@dataclass(frozen=True)
class Doctor:
    """Say what is wrong with a finished run, ours or somebody else's, and what to try."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Run directories, logs and folders of logs: RLlib, Tune, SB3, CleanRL, TensorBoard, CSV."""
    rename: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A name in the log and ours for it, such as `profit=return_mean`; may be given often."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


@dataclass(frozen=True)
class Explain:
    """Say what a symptom means, how it is measured and what to try."""

    symptom: tyro.conf.Positional[str] = ""
    """The symptom; without it all of them are listed."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


@dataclass(frozen=True)
class Play:
    """Shop in the terminal, or watch a policy shop: `rungwise play shop`."""

    env: tyro.conf.Positional[str]
    """The environment, or a preset or job file that names one."""
    goal: int = 0
    """Which of the shop's goals is to be bought."""
    watch: str = ""
    """Who shops instead of you: a checkpoint, the best one of a run directory, or a simple rule
    such as `oracle`."""
    env_kwargs: dict[str, str] = field(default_factory=dict[str, str])
    """Arguments of the environment: `--env-kwargs split test`."""
    json: bool = False
    """Print one JSON object on stdout and nothing else there."""

    def __call__(self, console: Console) -> Any:
        """One episode."""
        from cluster.commands.play import play
        from tune_jobs.jobs.cli_flags import read_values

        return play(
            self.env, self.goal, self.watch, read_values("env_kwargs", self.env_kwargs), console
        )


@dataclass(frozen=True)
class Envs:
    """List our environments."""

    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


@dataclass(frozen=True)
class Algos:
    """List the algorithms."""

    json: bool = False
    """Print one JSON object on stdout and nothing else there."""


JOB_COMMANDS = {"train": Train, "tune": Tune}
COMMANDS: dict[str, type] = {
    **JOB_COMMANDS,
    **SERVICE_COMMANDS,
    **QUEUE_COMMANDS,
    "resume": Resume,
    "report": Report,
    "ledger": Ledger,
    "evaluate": Evaluate,
    "check": Check,
    "doctor": Doctor,
    "explain": Explain,
    "play": Play,
    "envs": Envs,
    "algos": Algos,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    # Environments of the user's own (my_envs:Warehouse-v0) are found where the command is called.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    # One thread a process: many small networks train side by side.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # RLlib warns of deprecated calls that it makes itself.
    logging.getLogger("ray._common.deprecation").setLevel(logging.ERROR)
    treat_sigterm_as_ctrl_c()
    sys.exit(get_exit_status(run(list(sys.argv[1:] if argv is None else argv))))


def run(argv: list[str]) -> int:
    """Run one command line; the exit status."""
    terminal = Terminal(as_json="--json" in argv)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("once", InputWarning)
        warnings.showwarning = _show_warning
        if terminal.as_json:  # whatever a library prints must not end up in the JSON
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        status, answer = _run(argv, terminal)
    if answer is not None:
        terminal.print_answer(answer)
    return status


def _run(argv: list[str], terminal: Terminal) -> tuple[int, Answer | None]:
    """The exit status of a command line, and its answer or its error as one."""
    try:
        # Without --json tyro writes to the terminal itself, in its width and colours.
        with parsing() if terminal.as_json else contextlib.nullcontext():
            command = parse_command(argv)
        return 0, command(terminal)
    except WrongCall as error:
        return 2, error_answer("input", str(error))
    except InputError as error:
        _print_error(str(error))
        return 2, error_answer("input", str(error))
    except Unhealthy as verdict:
        _print_error(str(verdict))
        return 1, verdict.answer
    except RayStartError as error:
        _print_error(str(error))
        return 1, error_answer("failed", str(error))
    except CommandFailed as error:
        _print_error(str(error))
        return 1, error.answer | error_answer("failed", str(error))
    except RunInterrupted as error:
        _print_error(str(error))
        return 130, error.answer | error_answer("interrupted", str(error))
    except KeyboardInterrupt:
        return 130, error_answer("interrupted", "Stopped by Ctrl-C.")
    except Exception as error:
        traceback.print_exc()
        return 1, error_answer("crash", f"{type(error).__name__}: {error}")


def _print_error(sentence: str) -> None:
    sys.stderr.write(f"rungwise: {sentence}\n")


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any
) -> None:
    if issubclass(category, InputWarning):
        _print_error(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno))


def parse_command(argv: list[str]) -> Callable[[Terminal], Any]:
    """The command that a command line asks for, ready to be called with a console."""
    from cluster.commands import jobs

    if argv and argv[0] in JOB_COMMANDS:
        job, options = parse_job_command(argv[0], argv[1:])
        command = jobs.train if argv[0] == "train" else jobs.tune
        job = jobs.shorten_job(job) if options.quick else job
        return lambda c: command(job, options.out, options.address, options.cpus, c)
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise unknown_name_error("command", argv[0], COMMANDS)
    from tune_jobs.jobs.cli_flags import split_pairs

    rest, pairs = split_pairs(argv, ["env_kwargs"])
    for name, value in pairs.get("env_kwargs", {}).items():
        rest += [*([] if "--env-kwargs" in rest else ["--env-kwargs"]), name, value]
    chosen = tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="rungwise", args=rest)
    return chosen if callable(chosen) else _bind_command(chosen)


def _bind_command(parsed: Any) -> Callable[[Terminal], Any]:
    from cluster.commands import inspect, jobs

    match parsed:
        case Resume():
            return lambda c: jobs.resume(parsed.run, parsed.address, parsed.cpus, c)
        case Report():
            return lambda c: jobs.report(parsed.run, c)
        case Evaluate():
            asked = (parsed.checkpoint, parsed.episodes, parsed.seed)
            changed = (parsed.env_kwargs, parsed.scm, parsed.matrix)
            return lambda c: jobs.evaluate(*asked, *changed, parsed.quick, c)
        case Check():
            asked = (parsed.env, parsed.algo, parsed.env_kwargs, parsed.scm)
            return lambda c: jobs.check(*asked, c)
        case Doctor():
            return lambda c: inspect.doctor(parsed.paths, parsed.rename, c)
        case Explain():
            return lambda c: inspect.explain(parsed.symptom, c)
        case Envs():
            return jobs.list_envs
        case _:
            return jobs.list_algos


def parse_job_command(command: str, argv: list[str]) -> tuple[Job, RunOptions]:
    """The job and options of ``tune`` and ``train``.

    The flags of a job depend on its algorithm and environment, so these are found out first: from
    the preset or file named, and from ``--env`` and ``--algo``.
    """
    from tune_jobs.jobs.cli_flags import make_job_flags, make_job_from_flags, with_pairs
    from tune_jobs.jobs.job_yaml import list_presets, load_job, make_job

    named = argv[0] if argv and not argv[0].startswith("-") else None
    env, algo = _flag(argv, "--env"), _flag(argv, "--algo")
    if named:
        job = load_job(named)
    elif env:
        job = make_job({"env": env, "algo": algo or "ppo"})
    else:
        if set(argv) & {"-h", "--help"}:
            job = load_job("causal")
        else:
            raise InputError(
                f"`rungwise {command}` needs a preset ({', '.join(list_presets())}), a job file "
                "ending in .yaml, or --env."
            )
    flags = make_job_flags(job, env=env, algo=algo)
    flags, rest = with_pairs(flags, argv[1:] if named else argv)

    flat = tyro.conf.arg(name="")
    fields = [("options", Annotated[RunOptions, flat]), ("job", Annotated[flags.type, flat])]
    call_type = make_dataclass("Call", fields, frozen=True)
    call_type.__doc__ = JOB_COMMANDS[command].__doc__
    default = call_type(RunOptions(), flags.default)
    prog = f"rungwise {command} {named or '[PRESET or FILE.yaml]'}"
    call: Any = tyro.cli(call_type, default=default, args=rest, prog=prog)
    return make_job_from_flags(call.job), call.options


def _flag(argv: list[str], name: str) -> str | None:
    for i, word in enumerate(argv):
        if word == name and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(name + "="):
            return word.removeprefix(name + "=")
    return None
