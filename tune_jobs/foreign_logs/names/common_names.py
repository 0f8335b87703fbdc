"""Names of other libraries' logs and of own loops that are known in any spelling.

Letters' case, blanks and punctuation do not distinguish them. Each table names its source. Of two
names for one metric the earlier one is used, and a name of ``none`` is none of the catalogue's.
"""

from __future__ import annotations

from tune_jobs.foreign_logs.names.catalogue_metric import CatalogueMetric, Library

_CONVERTED = {
    "none": None,
    "episodes_so_far": CatalogueMetric("episodes", since_start=True),
    "percent_explored": CatalogueMetric("exploration_rate", times=0.01),
}
"""What stands in the tables for a metric that is converted, or for no metric."""


def _parse(text: str) -> Library:
    """Return a table from lines ``metric: name, name``; lines without a colon continue one."""
    entries = [entry.partition(": ") for entry in text.replace(",\n    ", ", ").strip().split("\n")]
    table = {_CONVERTED.get(ours, ours): tuple(theirs.split(", ")) for ours, _, theirs in entries}
    return Library(table, patchy=True)


# Numbers that look like one of the catalogue's and are another one, whatever their spelling: a sum
# of all losses, the spread of a return, ML-Agents' clip range (``Policy/Epsilon``), rl_games'
# reward by step, of which other spellings are the reward of a step, and d3rlpy's seconds of a step.
NONE_OF_OURS = _parse("""
none: loss, train loss, training loss, train std, policy epsilon, reward step, rewards step,
    rewards iter, rewards time, step reward, time step
""")

# Unity ML-Agents (``trainers/stats.py``, ``trainers/trainer/rl_trainer.py``,
# ``trainers/ppo/optimizer_torch.py``): losses are means of their sizes.
ML_AGENTS = _parse("""
return_mean: environment/cumulative reward, reward/cumulative reward
episode_length: environment/episode length
env_steps: environment/step
entropy: policy/entropy
entropy_coef: policy/beta
lr: policy/learning rate
policy_loss: losses/policy loss
value_loss: losses/value loss, losses/q1 loss
stage: environment/lesson number
""")

# garage (``garage/_functions.py: log_performance``, ``np/algos``, ``torch/algos/vpg.py``); a
# policy's name stands before the slash, here without what garage puts before it.
GARAGE = _parse("""
return_mean: average return, evaluation/average return
return_std: std return, evaluation/std return
return_min: min return, evaluation/min return
return_max: max return, evaluation/max return
env_steps: total env steps, n timesteps
iteration: evaluation/iteration, itr
kl: policy/kl, policy/mean kl
success_rate: success rate, evaluation/success rate
""")

# rlkit (``core/eval_util.py``, ``samplers/data_collector/path_collector.py``): its rewards are
# those of a step; and softlearning (``samplers``, ``algorithms/rl_algorithm.py``).
RLKIT = _parse("""
return_mean: exploration/average returns, exploration/returns mean, training/episode-reward-mean,
    training/return-average, evaluation/average returns, evaluation/returns mean,
    evaluation/episode-reward-mean, evaluation/return-average
return_std: exploration/returns std, evaluation/returns std
return_min: exploration/returns min, evaluation/returns min
return_max: exploration/returns max, evaluation/returns max
env_steps: exploration/num steps total, num steps total
episode_length: exploration/path length mean, evaluation/path length mean
policy_loss: trainer/policy loss
value_loss: trainer/qf1 loss, trainer/qf loss
entropy_coef: trainer/alpha
none: exploration/rewards mean, evaluation/rewards mean
""")

# rlpyt (``runners/minibatch_rl.py``, ``utils/logging/logger.py``): ``Average`` behind the name.
RLPYT = _parse("""
return_mean: return average, score average
return_std: return std
return_min: return min
return_max: return max
episode_length: length average
env_steps: cum steps, diagnostics/cum steps
grad_norm: grad norm average
entropy: entropy average
""")

# OpenAI's Baselines (``deepq``, ``trpo_mpi``, ``ppo1``, ``acktr``, ``a2c``, ``acer``, ``ddpg``,
# ``her``): returns of its tables are means of the last 100 episodes, and of ``ppo1`` too.
BASELINES = _parse("""
return_mean_100: mean 100 episode reward, mean 100 episode rewards, rollout/return history,
    average 100 episode reward, mean reward 100, avg reward 100
return_mean: rollout/return, mean episode reward, eval/return
return_std: rollout/return std
return_max: max 100 episode reward
return_min: min 100 episode reward
episode_length: rollout/episode steps, mean episode length
env_steps: timesteps so far, total/steps, total timesteps
iteration: n updates, iters so far
episodes: ep this iter, episodes this iter
episodes_so_far: episodes so far, total/episodes, num episodes
percent_explored: % time spent exploring
explained_variance: ev before, ev_tdlam_before
policy_loss: loss_pol_surr, train/loss actor
value_loss: loss_vf_loss, train/loss critic, value function loss
entropy: loss_ent
kl: mean kl, loss_kl
success_rate: train/success rate, test/success rate
none: ev after, entloss
""")

# Spinning Up (``algos``, ``utils/logx.py``): statistics before the name; also its forks.
SPINNING_UP = _parse("""
return_mean: average ep ret, ep ret, average test ep ret, test ep ret
return_std: std ep ret
return_max: max ep ret
return_min: min ep ret
env_steps: total env interacts
policy_loss: loss pi, loss actor
value_loss: loss q, loss v, loss q1, loss critic
clip_fraction: clip frac
none: delta loss pi, delta loss v
""")

# Dopamine (``discrete_domains/run_experiment.py``), Acme (``environment_loop.py``), Dreamer
# (``train.py``, ``scores.jsonl``), TD-MPC2 (``common/logger.py``), DrQ-v2 (``logger.py``), CORL
# (``algorithms/offline``) and d3rlpy (``metrics/evaluators.py``).
ACME = _parse("""
return_mean: train/average returns, train_average_return, episode return, episode/score,
    train/episode return, train/episode reward, d4rl normalized score, normalized score,
    human normalized score, eval/average returns, eval_average_return, eval/episode reward,
    eval/returns, eval/reward mean, eval/mean reward, eval/d4rl normalized score,
    eval/normalized score, eval/normalized score mean
episodes_so_far: train/num episodes total, actor episodes, train episodes
episode_length: episode length, train/episode length
env_steps: actor steps, environment steps, evaluator steps
policy_loss: train/loss/policy
value_loss: train/loss/value
entropy: train/ent/action, train/actor ent
""")

# TRL 0.11 to 0.16 (``ppo_trainer.py``, ``rloo_trainer.py``), OpenRLHF (``trainer/ppo_trainer.py``).
# ``objective/kl`` is left out as for TRL's later versions.
ALIGNMENT = _parse("""
return_mean: objective/scores, objective/rlhf reward, env/reward mean
return_std: env/reward std
policy_loss: loss/policy avg, ppo/loss/policy, train/policy loss
value_loss: loss/value avg, ppo/loss/value
kl: policy/approxkl avg, ppo/policy/approxkl
clip_fraction: policy/clipfrac avg, ppo/policy/clipfrac
entropy: policy/entropy avg, ppo/policy/entropy
explained_variance: ppo/val/var explained
""")

# IsaacLab's and MushroomRL's loops, tutorials of PyTorch, Keras and Gymnasium, and what public
# loops write most often: names of the same words in another order.
OWN_LOOPS = _parse("""
return_mean: total return, total reward, total rewards, episode total reward, cumulative reward,
    cumulative return, cum reward, sum reward, sum rewards, episode reward mean,
    episode return mean, return mean, reward sum, mean episode return, mean episodic return,
    avg episode reward, avg episode return, average episode reward, average episode return,
    ep reward mean, ep rew, ep return mean, rew mean, avg ret, avg rew, mean ret, mean rew,
    undiscounted return, epoch reward, epoch return, avg score, average score, mean score,
    total score, train score, j undiscounted
return_mean_100: running reward, reward running mean, moving average reward, avg reward last 100,
    average reward 100, reward ma100, mean100, smoothed reward, smoothed return, moving avg reward,
    ema reward
return_std: episode reward std, ep rew std
episode_length: episode steps, ep length, episode len, avg episode length, ep len mean,
    average episode length, mean ep length, train/length, rollout/length, avg ep len,
    episode length mean, mean episode len, episodic length
env_steps: frame, frame idx, env step, env steps, total frames, num frames, n steps, num steps,
    time steps, agent steps, interactions, total interactions, num env steps, global steps,
    env frames, total step
iteration: iterations, iter num, update step, num updates, training iteration
exploration_rate: epsilon, epsilons, eps, exploration rate, exploration epsilon, eps greedy,
    eps threshold, exploration eps, epsilon greedy, current epsilon
success_rate: win rate, winning rate, solve rate, success ratio, win ratio, success fraction,
    mean success, success mean, avg success, episode success, goal rate, success percentage,
    test/success, eval/success rate, eval/success, eval/win rate
policy_loss: policy loss, actor loss, pi loss, pg loss, policy gradient loss, loss policy,
    actor loss mean, surrogate loss, action loss
value_loss: value loss, critic loss, q loss, qf loss, vf loss, td loss, v loss, q1 loss, qf1 loss,
    critic 1 loss, dqn loss, baseline loss, loss value, td error loss, bellman loss
entropy: action entropy, mean entropy, entropy mean
kl: approx kl, kl approx, approximate kl, mean approx kl
clip_fraction: clip fraction, clipped fraction
explained_variance: explained variance, explained var, value explained variance
grad_norm: grad norm, gradient norm, total grad norm
lr: learning rate, current lr, lr actor, actor lr, policy lr
""")

COMMON = (
    *(NONE_OF_OURS, ML_AGENTS, GARAGE, RLKIT, RLPYT, BASELINES),
    *(SPINNING_UP, ACME, ALIGNMENT, OWN_LOOPS),
)
"""Where a log has several names for one metric, that of the first table is used."""
