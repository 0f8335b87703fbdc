"""Everything that a check may find: what it means, where it comes from and what to try.

``ProbeResult.add_finding`` takes its remedies from here and knows no other ids, so that whatever a
probe finds ``rungwise explain`` can explain. Nothing is imported that takes long: explaining should
not.
"""

from __future__ import annotations

import dataclasses

from tune_jobs.health.finding import Severity


@dataclasses.dataclass(frozen=True)
class CheckSymptom:
    """What a probe may find. Where a health rule has the same id, the rule says what it means."""

    probe: str
    """The probe that looks for it."""
    highest: Severity
    """The most that it may be."""
    remedy: str
    """What to try."""
    title: str = ""
    """What it is in one clause."""
    meaning: str = ""
    """How it is found, and what it does to training."""
    causes: tuple[str, ...] = ()
    """What usually brings it about, one clause each."""


TERM = "term_without_gradient"
"""Of a term that has no health rule of its own."""

_DETACHED = (
    "Compute the term from the network's output inside `terms`, without `detach`, `no_grad` or a "
    "detour through numpy; or set its coefficient to 0."
)
_HEAD = "This is a fault of the policy's action head (`algos/actions`), not yours."
_HEAD_CAUSES = (
    "an action head or distribution of your own",
    "a change in algos/actions/action_heads.py or algos/actions/distributions.py",
)

SYMPTOMS: dict[str, CheckSymptom] = {
    # The environment: Gymnasium's rules and ours.
    "raises": CheckSymptom(
        "conformance",
        "stop",
        "Mend the line that is named; a legal action must never raise.",
        "The environment raises an exception",
        "It raised when it was made, reset or stepped with a legal action. Training would end "
        "there, perhaps hours later.",
        ("a case of the task that was not thought of", "a file or server that is not there"),
    ),
    "cannot_be_made": CheckSymptom(
        "conformance",
        "stop",
        "Mend the line that is named, install what is missing, or give the environment the "
        "arguments it needs: `--env-kwargs NAME VALUE`.",
        "The environment cannot be made",
        "gymnasium.make raised an exception: nothing else can be looked at.",
        ("an argument with a value that does not do", "a package or file that is not there"),
    ),
    "does_not_return": CheckSymptom(
        "conformance",
        "warn",
        "Look for what the line that is named waits for, and give it a time limit.",
        "A call of the environment does not return",
        "Making, resetting or stepping the environment took so long that nothing else could be "
        "looked at in the time of a check. Training waits as long at every such call.",
        ("a server or simulator that does not answer", "a loop that does not end"),
    ),
    "mask_unread": CheckSymptom(
        "conformance",
        "stop",
        "Show the mask as a part named `mask` of a Dict observation (a wrapper of a few lines): "
        "policies then draw legal actions only.",
        "The environment's mask of legal actions is in a form that no policy reads",
        'Legal actions are named by `info["action_mask"]`, a part `action_mask` of the '
        "observation or a method `action_masks()`. Policies here read a part `mask`. It is a stop "
        "where illegal actions raise, as a policy will draw them, and else a note: what they cost "
        "must be learnt.",
        ("an environment written for PettingZoo, RLlib or sb3-contrib",),
    ),
    "info_differs": CheckSymptom(
        "conformance",
        "note",
        "Nothing needs to be done unless something of your own reads these entries.",
        "The same seed and actions give another info",
        "Observations, rewards and ends of an episode were the same when it was played twice, but "
        "entries of info were not. Training does not read them.",
        ("timings", "objects that are equal to themselves only"),
    ),
    "reset_returns": CheckSymptom(
        "conformance",
        "stop",
        "End reset() with `return observation, {}`.",
        "reset() does not return what Gymnasium expects",
        "It must return two things, the observation and a dict of further information.",
        ("an environment written for the old gym",),
    ),
    "step_returns": CheckSymptom(
        "conformance",
        "stop",
        "Return (observation, reward, terminated, truncated, info) from step().",
        "step() does not return what Gymnasium expects",
        "It must return five things. An end of the task (terminated) and an end of the time "
        "(truncated) are told apart, as only after the latter a future is worth anything.",
        ("an environment written for the old gym, with one `done`",),
    ),
    "flags_are_bool": CheckSymptom(
        "conformance",
        "stop",
        "Return bool(terminated) and bool(truncated).",
        "An end of an episode is neither true nor false",
        "terminated or truncated was something else than a truth value, which is easily taken for "
        "one by mistake.",
        ("an array or None where a single answer is wanted",),
    ),
    "reward_finite": CheckSymptom(
        "conformance",
        "stop",
        "Look for a division by zero or a logarithm of it, and return float(reward).",
        "A reward is not a finite number",
        "Random play met a reward that is NaN, infinite or no number. One of them makes the "
        "returns, the gradient and then every parameter NaN.",
        ("a division by zero or the logarithm of zero", "an array or None as the reward"),
    ),
    "observation_finite": CheckSymptom(
        "conformance",
        "stop",
        "Look for a division by zero, and clip what can grow without limit.",
        "An observation holds NaN or infinity",
        "Random play saw a number that is not finite. The network answers NaN to it.",
        ("a division by zero", "a quantity that grows without limit", "a placeholder of NaN"),
    ),
    "observation_in_space": CheckSymptom(
        "conformance",
        "stop",
        "Widen the space or convert the observation to its shape and type.",
        "An observation lies outside of its space",
        "Shape, type or range of an observation are not those of observation_space, which the "
        "network is built from.",
        ("float64 where the space says float32", "bounds that were guessed"),
    ),
    "gymnasium_check": CheckSymptom(
        "conformance",
        "warn",
        "Do what Gymnasium's sentence says.",
        "Gymnasium's own checker refuses the environment",
        "gymnasium.utils.env_checker.check_env raised. Other libraries rely on what it looks for; "
        "what training here cannot do without has a rule of its own.",
        ("reset() does not call super().reset(seed=seed)", "a missing or wrong space"),
    ),
    "same_seed": CheckSymptom(
        "determinism",
        "stop",
        "Draw every random number from self.np_random after super().reset(seed=seed); look for "
        "np.random, random, a set's order, and state that reset() does not start anew.",
        "The same seed and actions give another episode",
        "Episodes were played twice from the same seeds with the same actions and went "
        "differently. Trials cannot be compared or repeated, and algorithms that compare episodes "
        "from one start compare luck.",
        (
            "random numbers from np.random or random instead of self.np_random",
            "state that reset() leaves over from the episode before",
        ),
    ),
    # What random play shows.
    "no_episode_ends": CheckSymptom(
        "episodes",
        "warn",
        "Return terminated=True where the task is over, and register the environment with "
        "`max_episode_steps`; where it goes on for ever on purpose a time limit still gives a "
        "return to judge by.",
    ),
    "observation_constant": CheckSymptom(
        "observations",
        "warn",
        "Observe what tells states apart; if one state is all there is (a bandit), nothing is "
        "wrong.",
    ),
    "observation_scale": CheckSymptom(
        "observations",
        "note",
        "Divide each entry by its usual size, so that observations stay within -10 and 10.",
    ),
    "reward_scale": CheckSymptom(
        "rewards",
        "warn",
        "Multiply the rewards by a constant so that returns are between 1 and 100.",
    ),
    "zero_reward": CheckSymptom(
        "rewards",
        "warn",
        "Check when step() pays; if the task is that hard, pay for progress towards it, begin "
        "episodes nearer to the goal, or start from a teacher (`warm_start`).",
    ),
    "constant_reward": CheckSymptom(
        "rewards",
        "warn",
        "Pay for progress towards the goal, or raise the time limit until random play reaches it "
        "now and then.",
    ),
    "reward_blind_to_action": CheckSymptom(
        "dependence",
        "stop",
        "Follow one action through step() to the reward: is it the action that was passed in (not "
        "one drawn inside, overwritten by a clip, a mask or an index that is off), and does the "
        "reward see its result? Play two very different actions from one seed and print both "
        "rewards. If single actions do matter in a long noisy task, reward them sooner.",
        "It makes no difference for the reward what is done",
        "From many starts two ways to act were played twice each, and plays of the same actions "
        "were no more alike than plays of different ones. A warning says so of other luck after "
        "the start: what the actions change is then no more than what chance changes. There is "
        "nothing to learn, though entropy falls and losses move as if there were.",
        (
            "step() draws an action of its own, or loses the one it is given",
            "the reward is that of the step before, or of another copy",
            "chance decides nearly everything",
        ),
    ),
    "no_headroom_seen": CheckSymptom(
        "headroom",
        "note",
        "Nothing shows yet that one can do better than chance here: try a policy that you know to "
        "be good by hand, and see whether the reward notices.",
        "Simple rules do no better than random play",
        "The family's rules, or doing the same in every step, brought the same return as random "
        "play on the same seeds. In a task that needs skill that is as it should be.",
        ("a task that needs more than a simple rule", "a reward that does not notice skill"),
    ),
    "constant_action_beats_random": CheckSymptom(
        "headroom",
        "note",
        "A policy may settle for it: compare what it learns with this figure, not with random.",
        "Always doing the same is better than chance",
        "One constant action brought more than random play on the same seeds. A policy that seems "
        "to learn may have found no more than that.",
        ("an action that is safe everywhere", "few states in which it matters what is done"),
    ),
    # The policy and what stands between it and the environment.
    "cannot_start": CheckSymptom(
        "sampler",
        "stop",
        "Training would be refused for the same reason: do what the sentence says.",
        "Training would be refused",
        "The environment's spaces or the settings are none that a policy here can work with; the "
        "evidence is the sentence with which training would end.",
        ("observations of text or graphs", "settings that do not go with these actions"),
    ),
    "mask_not_honoured": CheckSymptom(
        "sampler",
        "stop",
        _HEAD,
        "The policy draws actions that the mask forbids",
        "Of many actions drawn for one observation some were illegal by its mask.",
        _HEAD_CAUSES,
    ),
    "sampler_mismatch": CheckSymptom(
        "sampler",
        "stop",
        _HEAD,
        "Actions are not drawn as their log-probabilities say",
        "The probabilities of all actions do not sum to 1, or the frequencies of many draws, or "
        "the mean of -log p, do not fit them. The gradient then belongs to another policy than "
        "the one that acts.",
        _HEAD_CAUSES,
    ),
    "action_altered": CheckSymptom(
        "actions",
        "stop",
        "Look for what stands between policy and environment: vector wrappers, action wrappers, a "
        "runner or an action head of your own.",
        "The environment gets other actions than the ones that are learnt from",
        "What reached step(), or came out of the action head, was not what is stored with its "
        "log-probability: credit goes to actions that were never done.",
        ("a wrapper that clips, rounds or shifts actions", "an index that is off by one"),
    ),
    # The algorithm.
    "credit_leaks": CheckSymptom(
        "credit",
        "stop",
        "Sum over time only (axis 0 of [T, B]), stop where `done` is true, and take what the "
        "future is worth from `following`: `gae` and `returns_to_go` in algos/advantages.py do.",
        "A reward counts for actions of other episodes",
        "One reward, or the value of one state, of a rollout was changed, and rows of other "
        "copies or of other episodes of the same copy got another advantage or return. Actions "
        "are then praised for what they had no part in. Episodes that are compared with each "
        "other (a group from one start) may share, and so may all rows a mean and a scale.",
        (
            "an estimate that runs over the copies as if they were time (a wrong axis)",
            "a sum over time that goes on over the end of an episode",
            "a bootstrap from the state that an automatic reset put after the end",
        ),
    ),
    "reward_without_credit": CheckSymptom(
        "credit",
        "stop",
        "Follow one reward through `credit` and see where it is cut off, shifted by a step, masked "
        "or replaced.",
        "Rewards are lost before anything is learnt from them",
        "A reward was changed a lot, and no row of its step or an earlier one got another "
        "advantage or return: nothing that led to it can be learnt.",
        (
            "the reward of an episode's last step is left out",
            "rewards are shifted against the actions by a step",
            "advantages from something else than the rewards",
        ),
    ),
    "policy_without_gradient": CheckSymptom("gradients", "stop", _DETACHED),
    "value_without_gradient": CheckSymptom("gradients", "warn", _DETACHED),
    "entropy_without_gradient": CheckSymptom("gradients", "warn", _DETACHED),
    TERM: CheckSymptom(
        "gradients",
        "warn",
        _DETACHED,
        "A term of the loss pulls at nothing",
        "The gradient of a term of the loss (the evidence names it) is exactly zero over a "
        "rollout, with a coefficient that is not: it is computed, logged and paid for in vain.",
        ("a detach() or no_grad()", "a detour through numpy", "a term of stored numbers only"),
    ),
    "action_part_without_gradient": CheckSymptom(
        "gradients",
        "stop",
        "Use the log-probability of the whole action, `dist.logp(batch)`, in every term of the "
        "policy.",
        "A part of the action is never learnt",
        "The policy's term of the loss does not depend on the numbers of the network that shape "
        "one part of the action (a choice, its value, a spread, a part of a Dict or Tuple), though "
        "the log-probability of the whole action does. That part stays random, while the others "
        "improve around it.",
        (
            "the log-probability of the choice alone, without that of the value chosen with it",
            "one entry of several instead of their sum",
            "a detach() on a part of the network's output",
        ),
    ),
    "not_finite": CheckSymptom("gradients", "stop", "Look for infinite advantages or rewards."),
    "not_learnt_quickly": CheckSymptom(
        "overfit",
        "note",
        "A hard task may need longer: look at the other findings first, then train for some "
        "minutes, with a larger `lr=3e-3` or another algorithm.",
        "A few seconds of training brought nothing",
        "The algorithm was trained for some seconds, from a handful of starts where the "
        "environment can repeat them, and was no better at the end than random play. In a hard or "
        "slow task that is as it should be.",
        ("a task that takes longer", "a reward that is rarely met", "any of the other findings"),
    ),
}
"""Id -> what there is to say."""
