"""Names of common libraries and of own loops, in any spelling."""

import math

import pytest
from foreign_logs import write_columns

from rungwise.logs.names.common_names import COMMON
from rungwise.logs.names.name_matching import match_metrics
from rungwise.logs.read_logs import read_logs
from rungwise.metrics import METRICS

WAVES = [math.sin(i) + i / 20 for i in range(40)]
NAMES = """
return_mean: AverageReturn | Evaluation/AverageReturn | train/return | eval/return | test/return
return_mean: Environment/Cumulative Reward | total_reward | Total Reward | Average Reward | Return
return_mean: Episode Reward | Mean Reward | mean_episode_reward | ep_reward_mean | rew_mean
return_mean: avg_ret | epRew | cumulative_reward | Cumulative Reward | charts/episode_return
return_mean: episode/return | episode.return | episode-return | EpisodeReturn | AvgReturn
return_mean: exploration/Average Returns | evaluation/Returns Mean | evaluation/Average Returns
return_mean: training/episode-reward-mean | evaluation/return-average | ReturnAverage
return_mean: rollout/return | AverageTestEpRet | TestEpRet | EpRet | Train/AverageReturns
return_mean: train_average_return | eval_average_return | episode/score | episode_score
return_mean: train/episode_reward | eval/episode_reward | train_reward | d4rl_normalized_score
return_mean: eval/normalized_score | objective/scores | objective/rlhf_reward | env/reward_mean
return_mean: avg_episode_reward | Average Episode Reward | AVG_REWARD | sum_rewards | Score
return_mean: undiscounted_return | mean_score | total score | J_undiscounted | reward_mean
return_mean: Evaluation/AverageUndiscountedReturn | cum_reward | episodeReward | acc_reward
return_mean: eval/avg_return | val/return | test_reward | validation/mean_reward | my_reward
return_mean_100: mean 100 episode reward | Mean-100-episode-reward | running_reward
return_mean_100: rollout/return_history | moving_avg_reward | avg_reward_last_100
env_steps: frame | Frames | total timesteps | TotalEnvSteps | env_step | Environment/Step
env_steps: Env Steps | total_env_steps | TimestepsSoFar | TotalEnvInteracts | num steps total
env_steps: frame_idx | train/env_steps | global step | Total Steps | actor_steps | num_env_steps
iteration: Iteration | itr | nupdates | iters so far | train/iteration
exploration_rate: epsilon | eps | Exploration Rate | exploration/epsilon | eps_threshold
exploration_rate: train/epsilon | % time spent exploring
success_rate: success_rate | Success Rate | win_rate | WinRate | train/success_rate | SuccessRate
success_rate: test/success_rate | eval/success_rate | Evaluation/SuccessRate | solve_rate | success
policy_loss: policy loss | Actor Loss | LossPi | actor_loss | train/actor_loss | Losses/Policy Loss
policy_loss: losses/pg_loss | pi_loss | trainer/Policy Loss | loss_pol_surr | policyLoss
value_loss: LossQ | q_loss | LossV | Q Loss | train/q_loss | losses/qf1_loss | critic-loss
value_loss: trainer/QF1 Loss | Losses/Value Loss | td_loss | agent/critic_loss | valueLoss
entropy: GaussianMLPPolicy/Entropy | Policy/Entropy | policy entropy | loss_ent
explained_variance: EVBefore | ev_tdlam_before | Explained Variance | explainedVariance
kl: approx_kl | ApproxKL | approx kl | meankl | loss_kl | GaussianMLPPolicy/KL | policy/approxkl_avg
clip_fraction: ClipFrac | clip fraction | train/clipfrac
lr: Learning Rate | learning-rate | Policy/Learning Rate | train/learning_rate
grad_norm: grad norm | Gradient Norm | train/grad_norm
episode_length: EpLen | Episode Length | train/length | episode/length
episode_length: Environment/Episode Length | mean_ep_length | avg_episode_length | EpLenMean
"""
LISTED = [
    (name.strip(), metric)
    for metric, names in (line.split(":", 1) for line in NAMES.strip().splitlines())
    for name in names.split("|")
]


@pytest.mark.parametrize(("name", "metric"), LISTED)
def test_a_common_name_is_known_in_a_table(name, metric):
    clock = "epoch" if metric != "iteration" else "reward"
    ours = match_metrics([clock, "zeta", name], {}).get(name)
    assert ours and ours.name == metric


@pytest.mark.parametrize(
    "name",
    """std_reward | StdReturn2 | min_reward | reward_loss | AverageDiscountedReturn | best_reward
    | discounted_return | reward_scale | target_return | intrinsic_reward | step_reward
    | evaluation/Rewards Mean | reward_rate | value | baseline_score | Policy/Epsilon
    | Policy/Extrinsic Value Estimate | return_normalizer_mean | reward_penalty | median_reward
    | train_loss | Train Loss | train_std | wins | Reward/step | advantage | KL Divergence
    | time_step | time/env_step | test_return_mean_T | reward_variance
    """.replace("\n", " ").split("|"),
)
def test_a_name_of_something_else_is_not_taken(name):
    assert match_metrics(["epoch", "zeta", name.strip()], {}).keys() == {"epoch"}


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["train/return", "test/return"], "train/return"),
        (["test/return", "score_of_task"], "test/return"),
        (["Episode Reward", "episode_reward"], "episode_reward"),
        (["Episode Reward", "episode-reward"], None),
        (["Reward", "REWARD"], None),
        (["reward", "REWARD"], "reward"),
        (["agent_0/reward", "agent_1/reward"], None),
        (["my_reward", "your_reward"], None),
        (["total_reward", "Evaluation/AverageReturn"], "total_reward"),
        (["Average Returns", "Average Rewards"], "Average Returns"),
        (["episode_reward", "true_episode_reward"], "true_episode_reward"),
        (["RawAverageReturn", "TrueAverageReturn", "MyAverageReturn"], "TrueAverageReturn"),
        (["train/ret", "episode/score"], "episode/score"),
    ],
)
def test_of_several_returns_one_is_taken_or_none(names, taken):
    found = match_metrics(["epoch", *names], {})
    returns = [name for name, ours in found.items() if ours.name == "return_mean"]
    assert returns == ([taken] if taken else [])


def test_spreads_of_an_evaluation_belong_to_its_return():
    spreads = ["Evaluation/StdReturn", "Evaluation/MaxReturn"]
    assert len(match_metrics(["Evaluation/AverageReturn", *spreads], {})) == 3
    assert len(match_metrics(["AverageReturn", *spreads], {})) == 1
    own = match_metrics(["epoch", "Task Return Mean", "Task Return Std", "Step Return Std"], {})
    assert own["Task Return Std"].name == "return_std" and "Step Return Std" not in own


def test_every_common_name_is_of_a_metric_of_the_catalogue():
    known = {ours.name for ours in COMMON.metrics.values() if ours}
    assert known <= {*METRICS, "iteration"}
    assert all(name == name.casefold() for name in COMMON.metrics)


def test_a_guessed_return_is_noted_and_words_in_it_are_left_out(tmp_path):
    path = write_columns(tmp_path / "a.csv", step=range(40), my_reward=["x", *WAVES[1:]])
    (log,) = read_logs(path)
    assert log.note.startswith("my_reward is taken for the return")
    assert len([row for row in log.rows if "return_mean" in row]) == 39
    (sure,) = read_logs(write_columns(tmp_path / "b.csv", step=range(40), total_reward=WAVES))
    assert sure.note == "" and sure.unmapped == []


def test_a_column_of_words_is_no_return(tmp_path):
    columns = {"reward_type": ["dense"] * 40, "Total Score": WAVES}
    (log,) = read_logs(write_columns(tmp_path / "a.csv", **columns))
    assert log.rows[3]["return_mean"] == pytest.approx(WAVES[3])


def test_any_table_of_a_folder_is_no_log_for_a_score(tmp_path):
    write_columns(tmp_path / "exams.csv", name=["a"] * 40, exam_score=WAVES)
    write_columns(tmp_path / "training.csv", epoch=range(40), task_score=WAVES)
    assert [log.name for log in read_logs(tmp_path)] == ["training.csv"]
