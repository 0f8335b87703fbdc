"""A pool of a user's models, drawn in a share of the episodes instead of a family's.

Models of a pool may be in any format that :mod:`envs.causal.models.files` reads, and of different
formats and sizes: each is evaluated by its own rules, and what it lacks in nodes is filled up, so
that it fits in one batch with drawn ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from envs.causal.models.files import FORMATS, read
from envs.causal.models.scm import AdditiveScm, Model
from envs.causal.optimisation.lessons import Lesson, Lessons, OneModel, ProblemSource, Sampled
from envs.causal.optimisation.problem import Problem
from envs.contract import counter_rng
from envs.contract.pytree import Array, Bools, Floats, Ints, Keys, put, take
from rungwise.validation import InputError


def read_pool(where: str, target: str) -> dict[Path, Model]:
    """Read the models in a file, or in all files of a folder with a model's suffix.

    ``target`` is that of the models that name none.

    Raises:
        InputError: there is none, or some cannot be used; every one of these is named.
    """
    path = Path(where)
    if not path.exists():
        raise InputError(f"There is no file or folder {path}: check the path to the pool.")
    files = [path]
    if path.is_dir():
        # Sorted, because the number of a member must not depend on the file system.
        files = sorted(file for file in path.iterdir() if file.suffix in FORMATS)
    if not files:
        raise InputError(
            f"The folder {path} holds no model: put files there that end in {', '.join(FORMATS)}."
        )
    models: dict[Path, Model] = {}
    errors: list[str] = []
    # All files are tried before an error is raised, so that one run shows everything that is wrong.
    for file in files:
        try:
            models[file] = _read_with_target(file, target)
        except InputError as error:
            errors.append(str(error))
    if errors:
        raise InputError("\n".join(errors))
    return models


def _read_with_target(file: Path, target: str) -> Model:
    """Read the model in a file; refuse one whose target nothing can change."""
    model = read(file)
    try:
        model = model.with_target(target) if target and not model.target else model
        # Built with two rows of noise only, for its checks.
        OneModel(model, 2)
    except InputError as error:
        raise InputError(f"The model {file} cannot be used. {error}") from error
    return model


class Pooled(ProblemSource):
    """A model of the pool in a share of the episodes, one of the lessons in the others."""

    def __init__(
        self,
        lessons: tuple[Lesson, ...],
        pool: Sequence[Model],
        pool_fraction: float,
        precision: int,
    ) -> None:
        width = max(len(model.names) - model.hidden for model in pool)
        # Drawn models are padded to the widest member, so that both kinds fit in one batch.
        self.lessons = Lessons(lessons, precision, width, max(model.hidden for model in pool))
        self.names, self.nodes = self.lessons.names, self.lessons.nodes
        self.noise, self.share = self.lessons.noise, pool_fraction
        self.members = tuple(Member(model, self.nodes, self.noise) for model in pool)
        blank = self.lessons.draw(counter_rng.make_keys(0, 1), 0)
        self.problems = _stack(
            blank, [m.problem(i, len(self.names)) for i, m in enumerate(self.members, 1)]
        )

    def draw(self, keys: Keys, stage: int) -> Problem:
        """See :class:`ProblemSource`. Drawn models are those of the episodes without a pool."""
        for_share, for_member = counter_rng.split(counter_rng.fold(keys, _POOL), 2)
        member = 1 + counter_rng.integers(for_member, len(self.members))
        member = np.where(counter_rng.uniform(for_share) < self.share, member, 0)
        # Row 0 is a blank; the copies that have it are filled in with drawn models.
        problem = take(self.problems, member)
        if (is_drawn := member == 0).any():
            problem = put(problem, is_drawn, self.lessons.draw(keys[is_drawn], stage))
        return problem

    def get_scm(self, problem: Problem) -> Sampled:
        """See :class:`ProblemSource`."""
        return Mixture(problem.scm, problem.member, self.members)

    def get_node_names(self, problem: Problem) -> tuple[str, ...]:
        """See :class:`ProblemSource`."""
        if not problem.member[0]:
            return self.names
        names = self.members[problem.member[0] - 1].one.names
        return names + self.names[len(names) :]


class Member:
    """A model of the pool among N nodes: its seen ones come first, its hidden ones last."""

    def __init__(self, model: Model, nodes: int, noise: Floats) -> None:
        num_visible = len(model.names) - model.hidden
        self.scm = model.scm
        # Padding lies between the seen and the hidden nodes, since hidden ones must stay last.
        self.indices = np.concatenate(
            [np.arange(num_visible), np.arange(nodes - model.hidden, nodes)]
        )
        self.one = OneModel(model, len(noise), noise[:, self.indices])

    def problem(self, number: int, nodes: int) -> Problem:
        """Return the problem [1] as the pool's model of this number, padded to ``nodes`` nodes."""
        problem, padding = self.one.problem, nodes - len(self.one.names)
        wide = {
            name: np.pad(getattr(problem, name), [(0, 0), (0, padding)])
            for name in ("allowed", "real", "low", "high")
        }
        wide["parents"] = np.pad(problem.parents, [(0, 0), (0, padding), (0, padding)])
        return dataclasses.replace(problem, member=np.array([number]), **wide)


@dataclasses.dataclass(frozen=True)
class Mixture:
    """The models of B copies, of which some are members of a pool."""

    drawn: AdditiveScm
    """[B]: those that are none."""
    member: Ints
    """[B]: which member each is, from 1 on, or 0."""
    members: Sequence[Member]
    """The pool."""

    def sample(self, noise: Floats, chosen: Bools, values: Floats) -> Floats:
        """See :meth:`envs.causal.models.scm.Scm.sample`."""
        rows = np.zeros_like(noise)
        # One pass for each member that occurs: formulas of different files cannot share an
        # operation.
        for number in np.unique(self.member).tolist():
            copies = np.flatnonzero(self.member == number)
            scm, indices = take(self.drawn, copies), np.arange(noise.shape[2])
            if number:
                scm, indices = self.members[number - 1].scm, self.members[number - 1].indices
            # np.ix_ selects the block [copies, indices]; two index lists alone would be paired.
            cells = np.ix_(copies, indices)
            part = scm.sample(noise[copies][:, :, indices], chosen[cells], values[cells])
            rows[np.ix_(copies, np.arange(noise.shape[1]), indices)] = part
        return rows


def _stack(blank: Problem, problems: Sequence[Problem]) -> Problem:
    """Stack all problems in one batch behind a blank one, whose drawn model stands for theirs."""
    fields = [field.name for field in dataclasses.fields(Problem) if field.name != "scm"]
    every: dict[str, Array] = {
        name: np.concatenate([getattr(problem, name) for problem in (blank, *problems)])
        for name in fields
    }
    scm = take(blank.scm, np.zeros(1 + len(problems), np.int64))
    return Problem(scm=scm, **every)


_POOL = 2**33
"""A random stream apart from those from which lessons are drawn."""
