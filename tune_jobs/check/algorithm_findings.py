"""Findings about the policy and the algorithm."""

from __future__ import annotations

from tune_jobs.check.check_symptom import CheckSymptom

TERM_WITHOUT_GRADIENT = "term_without_gradient"
"""Finding for a term without a separate health rule."""

_DETACHED = (
    "Compute the term from the network's output inside `Objective.loss`, without `detach`, "
    "`no_grad` or a conversion to numpy; or set its coefficient to 0."
)
_HEAD = "This is a fault of the policy's action head (`algos/actions`), not of the environment."
_HEAD_CAUSES = (
    "a custom action head or distribution",
    "a change in algos/actions/action_heads.py or algos/actions/distributions.py",
)

ALGORITHM_FINDINGS: dict[str, CheckSymptom] = {
    "cannot_start": CheckSymptom(
        probe="sampler",
        highest="stop",
        title="Training would be refused",
        meaning=(
            "No policy of Rungwise can work with the environment's spaces or with the settings; "
            "the evidence is the message with which training would end."
        ),
        causes=(
            "observations of text or graphs",
            "settings that do not fit these actions",
        ),
        remedy="Do what the message says: training would be refused for the same reason.",
    ),
    "mask_not_honoured": CheckSymptom(
        probe="sampler",
        highest="stop",
        title="The policy draws actions that the mask forbids",
        meaning="Some of many actions drawn for one observation were illegal by its mask.",
        causes=_HEAD_CAUSES,
        remedy=_HEAD,
    ),
    "sampler_mismatch": CheckSymptom(
        probe="sampler",
        highest="stop",
        title="The actions drawn do not match their log-probabilities",
        meaning=(
            "The probabilities of all actions do not sum to 1, or the frequencies of many draws, "
            "or the mean of -log p, do not match them. The gradient then belongs to another "
            "policy than the one that acts."
        ),
        causes=_HEAD_CAUSES,
        remedy=_HEAD,
    ),
    "action_altered": CheckSymptom(
        probe="actions",
        highest="stop",
        title="The environment receives other actions than those stored for training",
        meaning=(
            "What reached step(), or came out of the action head, was not what is stored with its"
            " log-probability: credit goes to actions that were never taken."
        ),
        causes=(
            "a wrapper that clips, rounds or shifts actions",
            "an index that is off by one",
        ),
        remedy=(
            "Check everything between policy and environment: vector wrappers, action wrappers, a"
            " custom runner or action head."
        ),
    ),
    "credit_leaks": CheckSymptom(
        probe="credit",
        highest="stop",
        title="A reward counts for actions of other episodes",
        meaning=(
            "One reward, or the value of one state, of a rollout was changed, and rows of other "
            "copies or of other episodes of the same copy got another advantage or return. "
            "Actions are then credited with rewards that they did not cause. Episodes that are "
            "compared with each other (a group from one start) may share, and all rows may share "
            "a mean and a scale."
        ),
        causes=(
            "an estimate that sums over the copies as if they were time (a wrong axis)",
            "a sum over time that continues past the end of an episode",
            "a bootstrap from the state after an automatic reset",
        ),
        remedy=(
            "Sum over time only (axis 0 of [T, B]), stop where `done` is true, and take the value"
            " of the next state from `following`, as `gae` and `returns_to_go` in "
            "algos/advantages.py do."
        ),
    ),
    "reward_without_credit": CheckSymptom(
        probe="credit",
        highest="stop",
        title="Rewards are lost before anything is learnt from them",
        meaning=(
            "A reward was changed a lot, and no row of its step or an earlier one got another "
            "advantage or return: the actions that led to it cannot be learnt."
        ),
        causes=(
            "the reward of an episode's last step is left out",
            "rewards are shifted against the actions by a step",
            "advantages that are not computed from the rewards",
        ),
        remedy=(
            "Follow one reward through `compute_advantages` and find where it is dropped, shifted"
            " by a step, masked or replaced."
        ),
    ),
    "policy_without_gradient": CheckSymptom(
        probe="gradients",
        highest="stop",
        remedy=_DETACHED,
    ),
    "value_without_gradient": CheckSymptom(
        probe="gradients",
        highest="warn",
        remedy=_DETACHED,
    ),
    "entropy_without_gradient": CheckSymptom(
        probe="gradients",
        highest="warn",
        remedy=_DETACHED,
    ),
    TERM_WITHOUT_GRADIENT: CheckSymptom(
        probe="gradients",
        highest="warn",
        title="A term of the loss has no gradient",
        meaning=(
            "The gradient of a term of the loss (the evidence names it) is exactly zero over a "
            "rollout, although its coefficient is not: it is computed and logged without effect."
        ),
        causes=(
            "a detach() or no_grad()",
            "a conversion to numpy",
            "a term of stored numbers only",
        ),
        remedy=_DETACHED,
    ),
    "action_part_without_gradient": CheckSymptom(
        probe="gradients",
        highest="stop",
        title="A part of the action is never learnt",
        meaning=(
            "The policy term of the loss does not depend on the network outputs for one part of "
            "the action (a choice, its value, a standard deviation, a part of a Dict or Tuple), "
            "although the log-probability of the whole action does. That part stays random, while"
            " the others improve."
        ),
        causes=(
            "the log-probability of the choice alone, without that of the value chosen with it",
            "one entry of several instead of their sum",
            "a detach() on a part of the network's output",
        ),
        remedy=(
            "Use the log-probability of the whole action, `dist.logp(batch)`, in every term of "
            "the policy."
        ),
    ),
    "not_finite": CheckSymptom(
        probe="gradients",
        highest="stop",
        remedy="Check for infinite advantages or rewards.",
    ),
    "not_learnt_quickly": CheckSymptom(
        probe="overfit",
        highest="note",
        title="A few seconds of training did not help",
        meaning=(
            "The algorithm was trained for some seconds, from a few starts where the environment "
            "can repeat them, and was no better at the end than random play. In a hard or slow "
            "task this is expected."
        ),
        causes=(
            "a task that takes longer",
            "a reward that is rarely reached",
            "any of the other findings",
        ),
        remedy=(
            "A hard task may need longer: look at the other findings first, then train for some "
            "minutes, or with another algorithm."
        ),
    ),
}
"""Id -> explanation."""
