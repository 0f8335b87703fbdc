"""An algorithm's objective: pure functions of rollouts, rows and network outputs.

An algorithm is a frozen dataclass of settings and one file with a subclass of :class:`Objective`.
The training loop (``algorithm.py``) calls its hooks; none of them starts a process, draws a random
number or changes its arguments, so that each can be tested on arrays alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeAlias, TypeVar

from torch import Tensor

from algos.actions.topk import log_probabilities
from algos.rollouts.advantages import compute_next_values
from algos.rollouts.columns import Columns
from algos.rollouts.rollout import Rollout
from algos.schedules import adapt_entropy_coef, schedule
from algos.settings.training import TrainingSettings
from envs.contract.world import World
from rungwise.validation import InputError

if TYPE_CHECKING:
    from algos.actions.head import ActionHead

SettingsT = TypeVar("SettingsT", bound=TrainingSettings)

Need: TypeAlias = Literal["starts", "candidates", "whole"]
"""A need that an objective may have of an environment (``rollouts/env_requirements.py``)."""


@dataclass(frozen=True)
class Loss:
    """The loss of one minibatch of N rows.

    Attributes:
        terms: by name each term, weighted, per row ``[N]`` or a scalar; the mean of their sum is
            minimised. Everything that has a weight is a term, because the learner reports whether
            each term has a gradient.
        measure: computes the update's metrics (names in ``metrics.py``) from the same forward
            pass. A function, because measuring costs as much as a term and few minibatches are
            measured.
        kl: computes an estimate of the KL of the collecting to the new policy, which the learner
            asks for by itself where the settings limit it; None: the rows are from other policies.
    """

    terms: dict[str, Tensor]
    measure: Callable[[], dict[str, Tensor]]
    kl: Callable[[], Tensor] | None = None


@dataclass(frozen=True)
class Objective(Generic[SettingsT]):
    """Base of all objectives; ``ppo.py`` is the one to read first.

    Attributes:
        settings: the algorithm's settings.
        variants: forms of the algorithm with different needs -> the settings that choose them.
        bootstrap: values and episode ends [T, B] -> the values of the next states [T, B].
    """

    settings: SettingsT
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"": {}}
    bootstrap = staticmethod(compute_next_values)

    # Before training (driver).

    @property
    def needs(self) -> frozenset[Need]:
        """Return what the environment must offer beyond Gymnasium's rules."""
        return frozenset()

    def validate_action_space(self, head: ActionHead) -> None:
        """Refuse settings that have no effect on such actions, or actions of the wrong kind.

        Here: an entropy target without a largest entropy, and diversity without a choice.

        Raises:
            InputError: naming the setting to change.
        """
        s = self.settings
        if s.entropy_target > 0 and head.num_log_stds and not head.choices:
            raise InputError(
                "settings.entropy_target would do nothing: values without bounds have no "
                "largest entropy to compare with. Set it to 0 and use entropy_coef."
            )
        if s.diversity_coef > 0 and not head.choices:
            raise InputError(
                f"settings.diversity_coef would do nothing: {head.space} has no single choice. "
                "Set it to 0."
            )

    def validate_world(self, world: World[Any] | None, env_id: str) -> None:
        """Refuse a world that lacks what the settings ask for; None stands for a foreign one.

        Raises:
            InputError: naming the setting to change.
        """

    # From rollout to rows (env runners, then driver).

    def compute_advantages(self, rollout: Rollout) -> Columns:
        """Turn a rollout [T, B] into rows [N] with the advantage of each action."""
        raise NotImplementedError

    def preprocess_batch(self, rows: Columns) -> tuple[Columns, dict[str, float]]:
        """Prepare the rows of all runners for the learners, and return metrics about them."""
        return rows, {}

    # From rows to gradients (learners).

    @property
    def has_critic(self) -> bool:
        """Whether advantages are differences from the value that the network predicts."""
        return False

    @property
    def reference_interval(self) -> int | None:
        """Updates between copies of the reference policy; 0: copied once; None: no reference."""
        return None

    def build_network_inputs(self, batch: Columns) -> Mapping[str, Any]:
        """Return the columns that the network reads: the rows themselves, or the steps in them."""
        return batch

    def compute_reference_columns(
        self, forward: Mapping[str, Any], batch: Columns
    ) -> dict[str, Tensor]:
        """Return the columns that the loss needs of the reference policy's output.

        Here its log-probabilities of the actions [N], or of each row of an action [N, R].
        """
        logps = log_probabilities(forward["dist"], batch)
        return {"reference_logp": logps.get("row_logp", logps["logp"])}

    def loss(
        self, forward: Mapping[str, Any], batch: Columns, coefficients: Mapping[str, float]
    ) -> Loss:
        """Return the loss of a minibatch [N].

        A perceptron on a CPU trains four times as fast where all that lies between output and
        loss is among the operations of ``losses/loss_expressions.py``; anything else is left to
        autograd.

        Args:
            forward: the network's output: ``dist``, ``value`` [N], and what a model adds.
            batch: the rows, as tensors.
            coefficients: weights that change during training.
        """
        raise NotImplementedError

    @property
    def measures_epochs(self) -> bool:
        """Whether :meth:`should_stop_epochs` asks for more than the KL: a loss each epoch."""
        return type(self).should_stop_epochs is not Objective.should_stop_epochs

    def should_stop_epochs(self, measure: Callable[[], Mapping[str, Tensor]]) -> bool:
        """Whether to skip the remaining epochs; ``measure()`` returns the last minibatch's metrics.

        Called after each epoch. All learners must agree, so metrics are averaged over them. Here:
        once the policy has moved beyond the KL limit.
        """
        limit = self.settings.kl_limit
        return limit > 0 and bool(measure()["kl"] > limit)

    # Coefficients (learners; part of every checkpoint).

    def initialise_coefficients(self) -> dict[str, float]:
        """Return the coefficients that change during training, at its start."""
        return {"entropy_coef": self.settings.entropy_coef}

    def schedule_coefficients(
        self, coefficients: dict[str, float], progress: float
    ) -> dict[str, float]:
        """Return the coefficients of the next update, at this share of the training budget."""
        s = self.settings
        # Both change the weight after each update instead (adapt_coefficients).
        if s.entropy_target > 0 or s.entropy_schedule == "decay":
            return coefficients
        value = schedule(s.entropy_schedule, s.entropy_coef, s.entropy_end, progress)
        return coefficients | {"entropy_coef": value}

    def adapt_coefficients(
        self, coefficients: dict[str, float], stats: Mapping[str, float]
    ) -> dict[str, float]:
        """Return the coefficients after an update with these metrics."""
        s, weight = self.settings, coefficients["entropy_coef"]
        if s.entropy_target > 0 and "entropy_normalised" in stats:
            weight = adapt_entropy_coef(weight, stats["entropy_normalised"], s.entropy_target)
        elif s.entropy_schedule == "decay":
            weight = max(s.entropy_end, weight * s.entropy_decay)
        return coefficients | {"entropy_coef": weight}

    def rescale_coefficients(
        self, coefficients: dict[str, float], factor: float
    ) -> dict[str, float]:
        """Return the coefficients for returns that are now ``factor`` times as large."""
        return coefficients
