# pyright: basic, reportOptionalMemberAccess=false, reportOptionalOperand=false

import json

import pytest
from foreign_logs import write_columns, write_events

from rungwise.logs.names.name_matching import KNOWN, match_metrics
from rungwise.logs.read_logs import read_logs
from rungwise.metrics import METRICS
from rungwise.validation import InputError


def test_a_log_of_unknown_names_says_which_it_has(tmp_path):
    write_events(tmp_path, [("my/profit", float(i), i) for i in range(5)])
    with pytest.raises(InputError, match=r"has my/profit, none of which .*'my/profit=return_mean'"):
        read_logs(tmp_path)
    log = read_logs(tmp_path, {"my/profit": "return_mean"})[0]
    assert [row["return_mean"] for row in log.rows] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_names_can_be_given_and_go_before_the_known_ones(tmp_path):
    path = write_columns(tmp_path / "a.csv", step=[1, 2], reward=[5.0, 6.0], profit=[7.0, 8.0])
    log = read_logs(path, {"profit": "return_mean"})[0]
    assert [row["return_mean"] for row in log.rows] == [7.0, 8.0]
    assert log.unmapped == ["reward"]
    with pytest.raises(InputError, match=r"'retrun_mean'.*did you mean return_mean"):
        read_logs(path, {"profit": "retrun_mean"})
    with pytest.raises(InputError, match=r"no column 'profits'.*did you mean profit"):
        read_logs(path, {"profits": "return_mean"})


def test_every_known_name_is_of_a_metric_in_the_catalogue():
    assert {ours.name for ours in KNOWN.values()} <= {*METRICS, "iteration"}
    assert all(name == name.casefold() for name in KNOWN)


def test_an_evaluation_of_trl_belongs_to_the_next_iteration(tmp_path):
    rows = [{"step": i, "reward": 0.1 * i, "completions/clipped_ratio": 1.0, "step_time": 2.0}
            for i in range(1, 13)]  # fmt: skip
    rows.insert(5, {"step": 5, "eval_reward": 0.4, "eval_loss": 0.0})
    rows.append({"step": 12, "eval_reward": 0.9})
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"log_history": rows}))
    (log,) = read_logs(path)
    assert [row["return_mean"] for row in log.rows] == pytest.approx(
        [0.1 * i for i in range(1, 13)]
    )
    assert [row.get("held_out_return_mean") for row in log.rows] == [*[None] * 5, 0.4, *[None] * 6]
    assert log.rows[0]["truncated_fraction"] == 1 and log.rows[0]["iteration_s"] == 2


@pytest.mark.parametrize(
    "name", ["val-core/openai/gsm8k/reward/mean@8", "val-core/aime/acc/mean@32", "val/test_score/x"]
)
def test_a_line_of_verl_is_read_under_our_names(tmp_path, name):
    values = {
        "critic/score/mean": 0.25, "response_length/mean": 900, "response_length/clip_ratio": 0.5,
        "timing_s/step": 30.0, "actor/kl_loss": 0.01, name: 0.5, "val-aux/aime/reward/std@8": 0.1,
    }  # fmt: skip
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(json.dumps({"step": i, **values}) for i in range(1, 11)))
    (log,) = read_logs(path)
    assert log.rows[0] == {
        "iteration": 1, "return_mean": 0.25, "episode_length": 900, "truncated_fraction": 0.5,
        "iteration_s": 30, "reference_kl": 0.01, "held_out_return_mean": 0.5,
    }  # fmt: skip
    assert log.other and log.other.chooses_tokens


def test_dpo_of_trl_under_the_names_of_trackers_has_no_value_loss(tmp_path):
    path = write_columns(
        tmp_path / "a.csv",
        **{"train/global_step": [1, 2], "train/loss": [0.7, 0.6], "train/rewards/margins": [0, 1]},
    )
    (log,) = read_logs(path)
    assert log.rows[0]["total_loss"] == 0.7 and "value_loss" not in log.rows[0]
    assert log.rows[1]["pair_margin"] == 1


@pytest.mark.parametrize(
    ("name", "of_tokens"),
    [
        ("response_length", True),
        ("completions/length", True),
        ("train/completion_len", True),
        ("total_tokens", True),
        ("entropy_per_token", True),
        ("completion_rate", False),
        ("tokenizer_loss", False),
        ("response", False),
    ],
)
def test_an_unknown_language_model_is_known_by_its_tokens(tmp_path, name, of_tokens):
    # ln 2: the policy of few choices would be taken to be at its maximum.
    path = write_columns(
        tmp_path / "a.csv",
        global_step=[1, 2],
        reward=[0.3, 0.4],
        entropy=[0.693] * 2,
        **{name: [600, 610]},
    )
    (log,) = read_logs(path)
    assert bool(log.other and log.other.chooses_tokens) == of_tokens
    assert ("entropy_normalised" in log.rows[0]) != of_tokens
    # No setting of an unknown library is renamed, and none is left out.
    assert not log.other or log.other.names is None


@pytest.mark.parametrize(
    ("beside", "is_of_update"),
    [
        ({"clipfrac": 0.1}, True),
        ({"explained_variance": 0.5}, True),
        ({"return_mean": 1.0}, True),
        ({"DeltaLossPi": 0.1}, True),
        ({}, False),
        ({"value_loss": 0.1}, False),
        ({"clipfrac": 0.1, "response_length": 120.0}, False),
        ({"return_mean": 1.0, "dyn_loss": 3.0}, False),
    ],
)
@pytest.mark.parametrize("name", ["kl", "KL", "kl_divergence"])
def test_a_bare_kl_is_of_updates_only_in_logs_of_ppo(beside, is_of_update, name):
    found = match_metrics(["step", "reward", "policy_loss", name, *beside], {})
    assert (name in found) == is_of_update
    assert name in match_metrics([name, *beside], {name: "kl"})  # as the caller says


def test_a_kl_that_says_more_goes_before_a_bare_one():
    found = match_metrics(["reward", "kl", "approx_kl", "clipfrac"], {})
    assert "approx_kl" in found and "kl" not in found
