"""Names that mean the same in every log, of common libraries and of own loops.

To add a name, add it to a line of ``COMMON_NAMES``, in small letters: it is then known in any
spelling, and behind a group such as ``train/``. Of two names for one metric in a log the earlier
one is used; a name of ``none`` is none of the catalogue's. A return whose words are all in
``likely_return.py`` needs no entry, nor does its spread (``std``, ``min``, ``max``).
"""

from __future__ import annotations

from rungwise.logs.names.catalogue_metric import CatalogueMetric, Library

_CONVERTED = {
    "none": None,
    "episodes_so_far": CatalogueMetric("episodes", since_start=True, patchy=True),
    "percent_explored": CatalogueMetric("exploration_rate", times=0.01, patchy=True),
    "entropy_negated": CatalogueMetric("entropy", times=-1, patchy=True),
}
"""Keys of the tables below for a metric that is converted, or for no metric."""


def _parse(text: str) -> Library:
    """Return a table from lines ``metric: name, name``; lines without a colon continue one."""
    entries = [entry.partition(": ") for entry in text.replace(",\n    ", ", ").strip().split("\n")]
    return Library(
        {
            _CONVERTED.get(key, CatalogueMetric(key, patchy=True)): tuple(names.split(", "))
            for key, _, names in entries
        }
    )


# Plain files, OpenAI's Baselines and Spinning Up: names that are taken first where a log has them
# exactly so. B-Pref (``train_PEBBLE.py``) trains with a learned reward, and logs the true one.
PLAIN = _parse("""
iteration: iteration, iter, update, epoch
env_steps: step, steps, _step, global_step, timestep, timesteps, total_timesteps, total_steps,
    num_timesteps, frames, totalenvinteracts, misc/total_timesteps
return_mean: true_episode_reward, return, returns, mean_return, episode_return, episodic_return,
    avg_return, average_return, ep_return, ep_ret, averageepret, reward, rewards, mean_reward,
    episode_reward, episodic_reward, ep_reward, ep_rew_mean, avg_reward, average_reward, eprewmean,
    score, scores
episode_length: eplen, ep_len, ep_len_mean, eplenmean, mean_episode_length
policy_loss: pi_loss, pg_loss, actor_loss, losspi, loss/policy_loss
value_loss: vf_loss, v_loss, critic_loss, lossv, td_loss, loss/value_loss
explained_variance: explained_var, vf_explained_var, ev, misc/explained_variance
entropy: entropy, policy_entropy, loss/policy_entropy
kl: kl, approx_kl, approxkl, mean_kl, kl_divergence, loss/approxkl
clip_fraction: clipfrac, clip_frac, loss/clipfrac
grad_norm: gradient_norm, grad_global_norm
lr: learning_rate
success_rate: success, is_success, ep_success, success_mean
stage: train/stage, rollout/stage, curriculum/stage, curriculum_stage, curriculum/level,
    curriculum_level, curriculum/lesson, curriculum_lesson
entropy_negated: entropy_loss
""")

# Sources: Unity ML-Agents (``trainers/stats.py``), whose epsilon is a clip range; garage
# (``_functions.py``); rlkit (``core/eval_util.py``), whose rewards are those of a step;
# softlearning (``rl_algorithm.py``); rlpyt (``minibatch_rl.py``); OpenAI's Baselines: ``ev_tdlam``,
# ``loss_pol_surr``, ``so far``, ``this iter``; Spinning Up (``algos``); Acme
# (``environment_loop.py``); Dreamer (``train.py``); DrQ-v2 (``logger.py``); CORL
# (``algorithms/offline``): ``normalized score``; d3rlpy: ``time step``, which are seconds; TRL 0.11
# to 0.16 and OpenRLHF (``ppo_trainer.py``), without ``objective/kl``, as for later versions;
# rl_games; IsaacLab, MushroomRL (``j``) and tutorials of PyTorch, Keras and Gymnasium.
COMMON = _parse("""
none: loss, train loss, train std, policy epsilon, rewards step, time step,
    exploration/rewards mean, evaluation/rewards mean
return_mean: environment/cumulative reward, evaluation/average return, total reward, total return,
    d4rl normalized score, normalized score, human normalized score, normalized score mean,
    objective/scores, objective/rlhf reward, epoch reward, epoch return, j undiscounted
return_mean_100: mean 100 episode reward, mean100, avg reward last 100
episode_length: episode length, ep length, episode len, avg episode length, average episode length,
    mean ep length, avg ep len, length average, path length mean, episode length mean, train/length
env_steps: total env steps, num steps total, timesteps so far, env step, env steps, actor steps,
    environment steps, frame, frame idx, total frames, num frames, n steps, num steps, agent steps,
    total interactions, num env steps, global steps, env frames, total step
iteration: evaluation/iteration, itr, n updates, iters so far, iterations, num updates
episodes: ep this iter, episodes this iter
episodes_so_far: episodes so far, total/episodes, num episodes, train/num episodes total,
    actor episodes, train episodes
exploration_rate: epsilon, eps, exploration rate, exploration epsilon, eps threshold, epsilon greedy
percent_explored: % time spent exploring
success_rate: success rate, win rate, solve rate, success ratio, mean success, episode success
policy_loss: policy loss, loss actor, policy gradient loss, loss policy, surrogate loss,
    loss_pol_surr, loss/policy avg, ppo/loss/policy
value_loss: value loss, q1 loss, loss q, loss q1, loss critic, value function loss, loss_vf_loss,
    q loss, qf loss, qf1 loss, critic 1 loss, dqn loss, loss value, loss/value avg, ppo/loss/value
entropy: loss_ent, entropy average, train/ent/action, train/actor ent, action entropy, mean entropy,
    entropy mean, policy/entropy avg, ppo/policy/entropy
entropy_coef: policy/beta, trainer/alpha
kl: policy/kl, policy/mean kl, loss_kl, kl approx, approximate kl, mean approx kl,
    policy/approxkl avg, ppo/policy/approxkl
clip_fraction: clip fraction, clipped fraction, policy/clipfrac avg, ppo/policy/clipfrac
explained_variance: ev before, ev_tdlam_before, explained variance, value explained variance,
    ppo/val/var explained
grad_norm: grad norm, total grad norm, grad norm average
lr: current lr, lr actor, actor lr, policy lr
stage: environment/lesson number
""")
