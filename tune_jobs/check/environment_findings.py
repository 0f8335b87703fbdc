"""Findings about the environment: Gymnasium's rules, random play and headroom."""

from __future__ import annotations

from tune_jobs.check.check_symptom import CheckSymptom
from tune_jobs.health.remedy import SCALED_REWARDS, at_least, use

ENVIRONMENT_FINDINGS: dict[str, CheckSymptom] = {
    "raises": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="The environment raises an exception",
        meaning=(
            "It raised when it was created, reset or stepped with a legal action. Training would "
            "end there, possibly hours later."
        ),
        causes=(
            "a case of the task that was not considered",
            "a missing file or server",
        ),
        remedy="Fix the line that is named; a legal action must never raise.",
    ),
    "cannot_be_made": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="The environment cannot be created",
        meaning="gymnasium.make raised an exception: nothing else can be checked.",
        causes=(
            "an argument with an invalid value",
            "a missing package or file",
        ),
        remedy=(
            "Fix the line that is named, install what is missing, or give the environment the "
            "arguments it needs: `--env-kwargs NAME VALUE`."
        ),
    ),
    "does_not_return": CheckSymptom(
        probe="conformance",
        highest="warn",
        title="A call of the environment does not return",
        meaning=(
            "Creating, resetting or stepping the environment took so long that nothing else could"
            " be checked in the time of a probe. Training waits as long at every such call."
        ),
        causes=(
            "a server or simulator that does not answer",
            "a loop that does not end",
        ),
        remedy="Find what the line that is named waits for, and give it a time limit.",
    ),
    "mask_invalid": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="The mask of legal actions cannot be used",
        meaning=(
            "The mask was missing in a step, had another size than the actions, or allowed none of "
            "them before the end of the episode. A policy draws actions from its mask alone."
        ),
        causes=(
            "a state without any legal action that does not end the episode",
            "a mask of another part of the task, by the name of a mask of actions",
            "info without the mask after some steps",
        ),
        remedy=(
            "Give a 1 for each legal choice and a 0 for each other, after reset() and every step, "
            "and end the episode where nothing is legal."
        ),
    ),
    "mask_unread": CheckSymptom(
        probe="conformance",
        highest="note",
        title="The environment has a mask for actions that cannot be masked",
        meaning=(
            "Policies of Rungwise read masks of Discrete and MultiDiscrete actions and of a choice "
            "with a value. Actions of other spaces are drawn without the mask."
        ),
        causes=("an action space of several parts, or of continuous values, with a mask",),
        remedy="Use a MultiDiscrete action space, with the masks of its parts one after another.",
    ),
    "info_differs": CheckSymptom(
        probe="conformance",
        highest="note",
        title="The same seed and actions give a different info",
        meaning=(
            "Observations, rewards and ends of an episode were equal when it was played twice, "
            "but entries of info were not. Training does not read them."
        ),
        causes=(
            "timings",
            "objects that compare by identity",
        ),
        remedy="Nothing, unless your own code reads these entries.",
    ),
    "success_unread": CheckSymptom(
        probe="conformance",
        highest="note",
        title="info names the success of an episode by something that is no truth value",
        meaning=(
            "info['success'] or info['is_success'] of an episode's last step is a text or another "
            "object. Training measures no success rate then, and rules that need one are silent."
        ),
        causes=("an entry of the same name with another meaning",),
        remedy="Give True or False, or rename the entry if it means something else.",
    ),
    "reset_returns": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="reset() does not return what Gymnasium expects",
        meaning="It must return two values: the observation and a dict of further information.",
        causes=("an environment written for the old gym",),
        remedy="End reset() with `return observation, {}`.",
    ),
    "step_returns": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="step() does not return what Gymnasium expects",
        meaning=(
            "It must return five values. The end of the task (terminated) and the end of the time"
            " (truncated) are separate, because only after the latter the next state has a value."
        ),
        causes=("an environment written for the old gym, with one `done`",),
        remedy="Return (observation, reward, terminated, truncated, info) from step().",
    ),
    "flags_are_bool": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="terminated or truncated is not a boolean",
        meaning=(
            "terminated or truncated was not a truth value, which is easily converted to one by "
            "mistake."
        ),
        causes=("an array or None where one boolean is expected",),
        remedy="Return bool(terminated) and bool(truncated).",
    ),
    "reward_finite": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="A reward is not a finite number",
        meaning=(
            "Random play found a reward that is NaN, infinite or no number. One of them makes the"
            " returns, the gradient and then every parameter NaN."
        ),
        causes=(
            "a division by zero or the logarithm of zero",
            "an array or None as the reward",
        ),
        remedy="Find a division by zero or a logarithm of zero, and return float(reward).",
    ),
    "reward_is_vector": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="The reward is a vector",
        meaning=(
            "Each step gives several rewards, as environments of MO-Gymnasium do. Training "
            "maximises one number: how the objectives are weighed is a decision of the task."
        ),
        causes=("an environment of several objectives",),
        remedy=(
            "Wrap the environment so that it returns a weighted sum (MO-Gymnasium's LinearReward "
            "does), and register the wrapped one."
        ),
    ),
    "observation_finite": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="An observation contains NaN or infinity",
        meaning=(
            "Random play found an entry that is not finite. The output of the network is then NaN."
        ),
        causes=(
            "a division by zero",
            "a quantity that grows without limit",
            "a placeholder of NaN",
        ),
        remedy="Find a division by zero, and clip what can grow without limit.",
    ),
    "observation_in_space": CheckSymptom(
        probe="conformance",
        highest="stop",
        title="An observation is outside its space",
        meaning=(
            "Shape or kind of an observation differ from observation_space, from which the "
            "network is built. A note: only its type or its range do. Training casts the type and "
            "clips no values."
        ),
        causes=(
            "float64 where the space has float32, or a rounding error",
            "bounds that were guessed",
        ),
        remedy="Correct the space, or convert the observation to its shape and type.",
    ),
    "gymnasium_check": CheckSymptom(
        probe="conformance",
        highest="warn",
        title="Gymnasium's own checker rejects the environment",
        meaning=(
            "gymnasium.utils.env_checker.check_env raised. Other libraries rely on what it "
            "checks; everything that training with Rungwise requires has its own finding."
        ),
        causes=(
            "reset() does not call super().reset(seed=seed)",
            "a missing or wrong space",
        ),
        remedy="Do what Gymnasium's message says.",
    ),
    "same_seed": CheckSymptom(
        probe="determinism",
        highest="stop",
        title="The same seed and actions give a different episode",
        meaning=(
            "Episodes were played twice with the same seeds and actions and differed. Trials "
            "cannot be compared or repeated, and algorithms that compare episodes from one start "
            "compare luck."
        ),
        causes=(
            "random numbers from np.random or random instead of self.np_random",
            "state of the previous episode that reset() keeps",
        ),
        remedy=(
            "Draw every random number from self.np_random after super().reset(seed=seed); look "
            "for np.random, random, the order of a set, and state that reset() does not reset."
        ),
    ),
    "no_episode_ends": CheckSymptom(
        probe="episodes",
        highest="warn",
        remedy=(
            "Return terminated=True where the task is over, and register the environment with "
            "`max_episode_steps`; in a continuing task a time limit still gives a return to "
            "compare by."
        ),
    ),
    "observation_constant": CheckSymptom(
        probe="observations",
        highest="warn",
        remedy=(
            "Add to the observation what distinguishes states; if there is only one state (a "
            "bandit), nothing is wrong."
        ),
    ),
    "observation_scale": CheckSymptom(
        probe="observations",
        highest="note",
        remedy=(
            use("normalise_observations", "switch on {}"),
            "divide each entry by its usual size, so that observations stay within -10 and 10",
        ),
    ),
    "reward_scale": CheckSymptom(
        probe="rewards",
        highest="warn",
        remedy=(SCALED_REWARDS,),
    ),
    "zero_reward": CheckSymptom(
        probe="rewards",
        highest="warn",
        remedy=(
            "check when step() gives a reward",
            "if the task is that hard, reward progress towards it, or start episodes nearer to the "
            "goal",
            use("warm_start", "imitate a teacher first, where the environment has one ({})"),
        ),
    ),
    "constant_reward": CheckSymptom(
        probe="rewards",
        highest="warn",
        remedy=(
            "Reward progress towards the goal, or raise the time limit until random play "
            "sometimes reaches it."
        ),
    ),
    "needs_memory": CheckSymptom(
        probe="memory",
        highest="note",
        title="The reward depends on what was seen earlier",
        meaning=(
            "Steps of random play in which the policy reads the same and acts alike had rewards "
            "that depend on an earlier observation, or the environment belongs to a collection of "
            "memory tasks. A policy that does not remember it can learn only a part of such a task."
        ),
        causes=(
            "a task that asks for memory",
            "a part of the state that the observation leaves out",
        ),
        remedy=(
            "add to the observation what it leaves out",
            at_least("frame_stack", 4, "or give the policy a stack of the last observations: {}"),
            use("memory", "or a memory: {} `gru`, with PPO and REINFORCE"),
        ),
    ),
    "image_flattened": CheckSymptom(
        probe="observations",
        highest="note",
        title="Images are read as unrelated numbers",
        meaning=(
            "A part of the observation is an image, and the network has no convolutions: it reads "
            "each pixel as a number of its own and has to learn the same pattern at each place."
        ),
        causes=("a network made for vectors (`model: mlp`) on an environment that shows images",),
        remedy=(
            "Set `model: auto`, which has an encoder for images, or use a wrapper that turns the "
            "image into the few numbers that matter."
        ),
    ),
    "reward_blind_to_action": CheckSymptom(
        probe="dependence",
        highest="stop",
        title="The reward does not depend on the actions",
        meaning=(
            "From many starts two action sequences were played twice each, and plays of the same "
            "actions were no more alike than plays of different ones. A warning means that the "
            "actions change no more than the randomness after the start does. There is nothing to"
            " learn, although entropy falls and losses move as if there were."
        ),
        causes=(
            "step() draws an action itself, or loses the one it is given",
            "the reward is that of the previous step, or of another copy",
            "chance decides nearly everything",
        ),
        remedy=(
            "Follow one action through step() to the reward: is it the action that was passed in "
            "(not one drawn inside, overwritten by a clip, a mask or a wrong index), and does the"
            " reward depend on its result? Play two very different actions from one seed and "
            "print both rewards. If single actions do matter in a long noisy task, reward them "
            "sooner."
        ),
    ),
    "no_headroom_seen": CheckSymptom(
        probe="headroom",
        highest="note",
        title="Simple policies are no better than random play",
        meaning=(
            "The baselines of the family, or constant actions, had the same return as random play"
            " on the same seeds. In a task that needs skill this is expected."
        ),
        causes=(
            "a task that needs more than a simple policy",
            "a reward that does not measure skill",
        ),
        remedy=(
            "Try by hand a policy that you know to be good, and check whether its return is higher."
        ),
    ),
    "constant_action_beats_random": CheckSymptom(
        probe="headroom",
        highest="note",
        title="A constant action is better than random play",
        meaning=(
            "One constant action had a higher return than random play on the same seeds. A policy"
            " that seems to learn may have learnt no more than that."
        ),
        causes=(
            "an action that is safe everywhere",
            "few states in which the action matters",
        ),
        remedy=(
            "A policy may converge to it: compare the result of training with this figure, not "
            "with random play."
        ),
    ),
}
"""Id -> explanation."""
