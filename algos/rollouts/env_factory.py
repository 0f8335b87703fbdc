"""Environment factory: vector environments by their Gymnasium ids, ours and foreign ones."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv

from envs.adapters.cast_observations import cast_observations
from envs.adapters.closing import guard_close
from envs.adapters.plain_results import PlainResults
from envs.checking.guarded_import import describe_exit, guard_import
from envs.contract.agents import PREFIX, AgentsVectorEnv, register_game
from envs.contract.batched import get_world
from envs.contract.masked import Form, MaskedEnv, MaskedVectorEnv, detect_form, detect_vector_form
from envs.contract.scalar_actions import ScalarActions, has_scalars
from rungwise.optional_imports import import_extra
from rungwise.user_frames import find_user_frame
from rungwise.user_packages import explain_hidden, extend_packages
from rungwise.validation import InputError

MODULES = {
    "ALE/": "ale_py",
    "BabyAI-": "minigrid",
    "MiniGrid-": "minigrid",
    "MinAtar/": "minatar",
    "PyFlyt/": "PyFlyt.gym_envs",
    "highway-": "highway_env",
    "intersection-": "highway_env",
    "merge-": "highway_env",
    "parking-": "highway_env",
    "popgym-": "popgym",
    "racetrack-": "highway_env",
    "roundabout-": "highway_env",
}
"""How ids of well-known packages begin -> the module that registers them."""


def find_env_spec(env_id: str) -> EnvSpec:
    """Return Gymnasium's entry of an environment, importing its module (``module:Name-v0``).

    ``module:Class`` is a class, or a function that makes an environment, which nothing registers.
    ``pettingzoo:module`` is the game of several agents that a module defines.

    Raises:
        InputError: no environment has that id, or its module cannot be imported.
    """
    module, _, name = env_id.rpartition(":")
    if module == PREFIX:
        import_extra(PREFIX, PREFIX)
        _import_module(name, env_id)
        register_game(name)
    elif module:
        _import_module(module, env_id)
        if name not in gymnasium.registry:
            _run_entry_points(module, env_id)
        made_by = getattr(sys.modules[module], name, None)
        if name not in gymnasium.registry and callable(made_by):
            # Its name alone may be that of one of Gymnasium (`CartPole`), of another module, or of
            # what the function itself registers.
            entry, name = f"{module}:{name}", f"{module.replace('.', '-')}/{name}"
            if name not in gymnasium.registry:
                # The metadata of a wrapper are those of its environment: Gymnasium would not find
                # any in the class.
                is_wrapper = isinstance(made_by, type) and issubclass(made_by, gymnasium.Wrapper)
                gymnasium.register(name, partial(made_by) if is_wrapper else entry)
    try:
        return gymnasium.spec(name)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        _refuse_hidden(module, env_id)
        reason = str(error)
        end = "" if reason.endswith((".", "?")) else "."
        # The package of the user's own environments may be meant to register them.
        hint = explain_hidden("envs") if module else _hint(name)
        message = f"There is no environment {env_id!r}: {reason}{end} {hint}"
        raise InputError(message.rstrip()) from error


def _import_module(module: str, env_id: str) -> None:
    """Import the module of an environment, which registers it.

    Raises:
        InputError: there is no such module, or its code raises an error.
    """
    extend_packages()
    try:
        with guard_import(module):
            importlib.import_module(module)
    except ImportError as error:
        _refuse_hidden(error.name or module, env_id)
        frame = find_user_frame(error)
        # Without a frame of the module's own it was never run: the module itself is missing.
        if frame is None:
            raise InputError(
                f"There is no environment {env_id!r}: {error}. Install {module.partition('.')[0]}, "
                "call this in the folder that holds it (`cd`), or put that folder on PYTHONPATH."
            ) from error
        if isinstance(error, ModuleNotFoundError) and error.name:
            missing = error.name.partition(".")[0]
            remedy = f"Install {missing}, or put the folder that holds it on PYTHONPATH."
        else:
            remedy = "Correct this import, or install a version that has the name."
        where = frame.removesuffix(" in <module>")
        raise InputError(
            f"The module of {env_id!r} cannot be imported: {error} (imported in {where}). {remedy}"
        ) from error
    # SystemExit would end this process silently.
    except (Exception, SystemExit) as error:
        if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
            _refuse_hidden(error.obj.__name__, env_id)
        raise InputError(
            f"The module of {env_id!r} cannot be imported: {_describe_import_error(error)}. "
            "Correct this line, or move what only a script should do below "
            '`if __name__ == "__main__":`.'
        ) from error


def _refuse_hidden(module: str, env_id: str) -> None:
    """Say that a module of ours was imported in the place of the user's, if that is so.

    Raises:
        InputError: it was.
    """
    if hidden := explain_hidden(module):
        raise InputError(f"There is no environment {env_id!r}: {hidden}")


def _describe_import_error(error: BaseException) -> str:
    """Describe an error of a module's own code with its line."""
    match error:
        case SyntaxError(filename=str(file), lineno=int(line)):
            # Code that cannot be compiled has no frame.
            text = (error.text or "").strip()
            return (
                f"{type(error).__name__}: {error.msg} ({file}:{line}{f', `{text}`' * bool(text)})"
            )
        case SystemExit():
            what = f"it calls {describe_exit(error)}"
        case _:
            what = f"{type(error).__name__}: {error}"
    frame = find_user_frame(error)
    return f"{what} ({frame.removesuffix(' in <module>')})" if frame else what


def _run_entry_points(module: str, env_id: str) -> None:
    """Let a package register its environments that left this to Gymnasium before its version 1.

    Raises:
        InputError: the module of an entry point cannot be imported.
    """
    for entry in entry_points(group="gymnasium.envs"):
        if entry.module.partition(".")[0] == module.partition(".")[0]:
            _import_module(entry.module, env_id)
            entry.load()()


def _hint(name: str) -> str:
    """Return how to name the module that registers an environment."""
    module = next((m for start, m in MODULES.items() if name.startswith(start)), None)
    if module:
        return f"It is registered by {module}: write `{module}:{name}`."
    return f"If a module registers it, name that first: `my_module:{name}`."


def check_arguments(env_id: str, env_kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that an environment's constructor cannot be called with.

    Raises:
        InputError: naming those that are missing, or those that it does not take.
    """
    spec = find_env_spec(env_id)
    parameters = _list_parameters(spec)
    if parameters is None:
        return
    given = {**spec.kwargs, **env_kwargs}
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = [p.name for p in named]
    missing = [p.name for p in named if p.default is p.empty and p.name not in given]
    # Gymnasium's own, which never reach the constructor.
    unknown = sorted({*given} - {*names, "max_episode_steps", "disable_env_checker"})
    unknown = [] if any(p.kind is p.VAR_KEYWORD for p in parameters) else unknown
    wrong = [f"has no argument {' or '.join(unknown)}"] if unknown else []
    if missing:
        how = " ".join(f"{name} VALUE" for name in missing)
        wrong.append(
            f"cannot be made without {' and '.join(missing)}: give `--env-kwargs {how}` "
            f"(in a job file, `env_kwargs: {{{missing[0]}: VALUE}}`)"
        )
    if wrong:
        takes = ", ".join(names) or "none"
        raise InputError(f"{env_id} {', and '.join(wrong)}. It takes {takes}.")


def list_arguments(env_id: str, env_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that an environment is made with, those of its constructor included."""
    spec = find_env_spec(env_id)
    defaults = {p.name: p.default for p in _list_parameters(spec) or () if p.default is not p.empty}
    return {**defaults, **spec.kwargs, **env_kwargs}


def _list_parameters(spec: EnvSpec) -> list[inspect.Parameter] | None:
    """Return the parameters of an environment's constructor; None where they are not known."""
    if spec.entry_point is None:
        return None
    try:
        creator: Any = spec.entry_point
        creator = creator if callable(creator) else load_env_creator(creator)
        return list(inspect.signature(creator).parameters.values())
    except Exception:  # no module or no signature: making it will say what is wrong
        return None


def make_vector_env(
    env_id: str, env_kwargs: dict[str, Any], num_envs: int, *, per_copy_seeds: bool = False
) -> VectorEnv[Any, Any, Any]:
    """Create ``num_envs`` copies of a registered environment, natively batched if possible.

    Masks of legal actions, in whatever form, become the part ``mask`` of its observations.

    With ``per_copy_seeds`` each copy takes a seed of its own, as Gymnasium's batched ones do not. A
    registered vector environment is used where its copies have the spaces that the single
    environment has; others, such as that of ALE, are other environments by the same name.

    Raises:
        InputError: an environment that does not exist, refuses these arguments or cannot be made.
    """
    check_arguments(env_id, env_kwargs)
    spec = find_env_spec(env_id)
    try:
        if native := _native(env_id, env_kwargs, num_envs, per_copy_seeds):
            return native
        same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
        wrappers = [make_mask_wrapper()]
        return batch_any_infos(
            gymnasium.make_vec(spec, num_envs, "sync", same_step, wrappers, **env_kwargs)
        )
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, TypeError) and (wrong := explain_wrong_kind(env_id, env_kwargs)):
            raise InputError(wrong) from error
        frame = find_user_frame(error)
        raise InputError(
            f"{env_id} cannot be made with {env_kwargs}: {type(error).__name__}: {error}"
            f"{f' ({frame})' if frame else ''}"
        ) from error


def explain_wrong_kind(env_id: str, env_kwargs: Mapping[str, Any]) -> str:
    """Return what is made instead of a single environment; empty where it is none of these."""
    spec = find_env_spec(env_id)
    try:
        creator: Any = spec.entry_point
        creator = creator if callable(creator) else load_env_creator(creator)
        made: Any = creator(**{**spec.kwargs, **env_kwargs})
    except Exception:  # making it has said what is wrong
        return ""
    if hasattr(made, "num_envs"):  # those of other libraries, too, which share no class
        guard_close(made).close()
        what, remedy = f"{made.num_envs} copies", "one; training makes as many as `num_envs` says"
    elif hasattr(made, "possible_agents"):
        what, remedy = "a game of agents", f"`{PREFIX}:{env_id.partition(':')[0]}` (its module)"
    else:
        return ""
    return f"{env_id} makes {what} ({type(made).__name__}), not one environment: give {remedy}."


def batch_any_infos(env: VectorEnv[Any, Any, Any]) -> VectorEnv[Any, Any, Any]:
    """Let copies give entries of ``info`` that differ in kind or shape; return the same copies.

    Gymnasium makes an array of the kind that the first copy gives, and fails where another one
    gives None, or a list of another length. Such entries become arrays of objects.
    """
    name = "_add_info"
    add_info = getattr(env, name)

    def add_any_info(infos: dict[str, Any], info: dict[str, Any], number: int) -> dict[str, Any]:
        try:
            return add_info(infos, info, number)
        except (TypeError, ValueError):
            pass  # each by itself, which repeats those that were added
        for key, value in info.items():
            try:
                infos = add_info(infos, {key: value}, number)
            except (TypeError, ValueError):
                array = np.full(env.num_envs, None, object)
                for copy in np.flatnonzero(infos[f"_{key}"]):
                    array[copy] = infos[key][copy]
                array[number] = value
                infos[key] = array
                infos[f"_{key}"][number] = True
        return infos

    setattr(env, name, add_any_info)
    return env


def make_single_env(env_id: str, env_kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """Create one copy of an environment, with its mask as the part ``mask`` of the observation.

    Raises:
        InputError: an environment that does not exist or does not take these arguments.
    """
    check_arguments(env_id, env_kwargs)
    spec = find_env_spec(env_id)
    if spec.entry_point is None:
        raise InputError(
            f"{env_id} exists as a batch of copies only, but this algorithm steps single ones: "
            "register it with an entry_point, or take another algorithm."
        )
    return make_mask_wrapper()(gymnasium.make(spec, **env_kwargs))


def make_bare_env(env_id: str, env_kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """Create one copy of an environment as its user knows it."""
    return guard_close(gymnasium.make(find_env_spec(env_id), **env_kwargs))


def make_mask_wrapper() -> Callable[[gymnasium.Env[Any, Any]], Any]:
    """Return a wrapper of the copies of an environment, which shows their masks if they have any.

    The first copy decides for all: looking at a mask in ``info`` takes a reset. Observations get
    the type of their space, where batching would refuse to cast them, rewards and ends are numbers
    and flags, and single values of an action are arrays.
    """
    forms: list[Form | None] = []

    def wrap(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
        if not forms:
            forms.append(detect_form(env))
        env = PlainResults(cast_observations(guard_close(env)))
        env = ScalarActions(env) if has_scalars(env.action_space) else env
        return env if forms[0] is None else MaskedEnv(env, forms[0])

    return wrap


def _native(
    env_id: str, env_kwargs: dict[str, Any], num_envs: int, seeded: bool
) -> VectorEnv[Any, Any, Any] | None:
    """Return the registered vector environment, or None if there is no suitable one."""
    spec = find_env_spec(env_id)
    if not spec.vector_entry_point or (spec.entry_point and spec.additional_wrappers):
        return None
    try:
        env = gymnasium.make_vec(spec, num_envs, "vector_entry_point", **env_kwargs)
        env = guard_close(env)
    except InputError:
        raise
    except Exception:
        if not spec.entry_point:
            raise
        return None  # it may lack what the single one does not need; that one says what is wrong
    if get_world(env) is not None:
        return env
    form = detect_vector_form(env)
    # The single environment of a game is the view of one of its agents.
    alone = not spec.entry_point or isinstance(env, AgentsVectorEnv)
    if alone or (not seeded and _is_alike(env, form, env_id, env_kwargs)):
        return env if form is None else MaskedVectorEnv(env, form)
    env.close()
    return None


def _is_alike(
    env: VectorEnv[Any, Any, Any], form: Form | None, env_id: str, env_kwargs: dict[str, Any]
) -> bool:
    """Return whether the single environment has the spaces and masks of the batched one."""
    single = make_bare_env(env_id, env_kwargs)
    spaces = (env.single_observation_space, env.single_action_space)
    alike = (single.observation_space, single.action_space) == spaces and detect_form(
        single
    ) == form
    single.close()
    return alike
