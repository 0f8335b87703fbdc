# pyright: basic
"""RLlib's configuration for the columnar path: what our settings become in it."""

import pytest
import small

from algos.grpo import GRPO, GRPOObjective
from algos.learning.learner import ColumnLearner
from algos.models import MODELS
from algos.rollouts.env_runner import ColumnRunner


def make_config(**changed):
    chosen = small.settings("grpo", num_env_runners=3, num_learners=2, lr=0.02, **changed)
    return chosen, GRPO.get_default_config().configure_training(chosen, 7, gpus=0.5)


def test_settings_become_rllibs_own_fields():
    chosen, config = make_config()
    assert (config.num_env_runners, config.num_envs_per_env_runner) == (3, chosen.num_envs)
    assert config.rollout_fragment_length == chosen.rollout_length
    assert (config.num_learners, config.num_gpus_per_learner) == (2, 0.5)
    assert config.num_gpus_per_env_runner == 0, "a small network acts on the CPU"
    assert make_config(acting_device="gpu")[1].num_gpus_per_env_runner == 0.5
    assert config.train_batch_size_per_learner == chosen.rows_per_iteration
    assert config.lr == 0.02 and config.total_iterations == 7


def test_objective_network_and_learner_follow_the_settings():
    chosen, config = make_config(model="set")
    objective = config.make_objective()
    assert isinstance(objective, GRPOObjective) and objective.settings is chosen
    spec = config.get_default_rl_module_spec()
    assert spec.module_class is MODELS["set"] and spec.model_config == chosen.model_config
    assert config.get_default_learner_class() is ColumnLearner
    assert config.env_runner_cls is ColumnRunner


@pytest.mark.parametrize(
    ("runners", "learners", "worker", "gpus"),
    [(0, 0, 0, 0.5), (0, 2, 0, 0.5), (3, 0, 0, 0.5), (3, 2, 0, 0), (3, 2, 1, 0.5)],
)
def test_a_process_without_a_gpu_acts_on_the_cpu(runners, learners, worker, gpus, monkeypatch):
    monkeypatch.setattr("algos.rllib.column_config.get_device", lambda config, gpus: gpus)
    chosen = small.settings(num_env_runners=runners, num_learners=learners, model="lm")
    config = GRPO.get_default_config().configure_training(chosen, 7, gpus=0.5)
    assert config.get_acting_device(worker) == gpus


def test_the_folder_of_hang_reports_is_kept_unless_given():
    chosen, config = make_config()
    kept = config.hang_report_dir
    assert kept and config.configure_training(chosen, 7).hang_report_dir == kept
    assert config.configure_training(chosen, 7, hang_report_dir="/x").hang_report_dir == "/x"


def test_rllib_polls_no_system_usage():
    assert make_config()[1].log_sys_usage is False
