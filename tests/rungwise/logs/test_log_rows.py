# pyright: basic, reportOptionalMemberAccess=false, reportOptionalOperand=false, reportArgumentType=false, reportAttributeAccessIssue=false
"""A growing log as iterations: the same however it is cut into pieces, and never too many."""

import math
from pathlib import Path

import numpy as np
import pytest

from rungwise.logs.log_record import Record
from rungwise.logs.log_rows import MOST, LogRows, merge_rows
from rungwise.validation import InputError

rng = np.random.default_rng(0)


def record(i, **values):
    known = {"rollout/ep_rew_mean": float(i), "time/total_timesteps": 100.0 * i, "own": i / 2}
    return Record(f"line {i}", known | values)


def make(**changed):
    return LogRows(Path("log.csv"), **{"metric": "return_mean", "rename": {}} | changed)


def test_a_row_is_an_iteration_and_a_smoothed_return_a_score():
    rows = make()
    assert rows.add([record(1)]) == []  # more may belong to it
    (first,) = rows.add([record(2)])
    assert (first.number, first.score) == (1, 1.0)
    assert first.metrics["return_mean_100"] == first.metrics["return_mean"] == 1.0
    (second,) = rows.add([], final=True)
    assert (second.number, second.score) == (2, 2.0) and rows.add([], final=True) == []
    assert rows.unmapped == ["own"]


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_pieces_of_a_log_make_no_difference(pieces):
    records = [record(i + 1, **{"train/approx_kl": rng.random()}) for i in range(1000)]
    whole, cut = make(budget=1e5), make(budget=1e5)
    expected = whole.add(records, final=True)
    found = []
    for part in np.array_split(np.arange(1000), pieces):
        found += cut.add([records[i] for i in part])
    assert found + cut.add([], final=True) == expected
    assert [i.number for i in expected] == list(range(1, 101))
    # Ten rows each: means of what was measured, the last of the steps.
    assert expected[0].score == pytest.approx(5.5) and expected[0].metrics["env_steps"] == 1000
    kls = [float(r.values["train/approx_kl"]) for r in records[:10]]
    assert expected[0].metrics["kl"] == pytest.approx(np.mean(kls))


def test_without_a_budget_iterations_grow_and_their_number_does_not():
    rows = make()
    found = rows.add([record(i + 1) for i in range(100_000)], final=True)
    assert [i.number for i in found] == list(range(1, len(found) + 1))
    assert len(found) < MOST * math.log2(100_000 / MOST) + MOST
    assert found[MOST - 2].score == MOST - 1
    assert found[-1].score > 99_000


def test_progress_and_score_by_the_names_of_the_log():
    rows = make(metric="own", progress="own", budget=10, iterations=5)
    found = rows.add([record(i + 1) for i in range(20)], final=True)
    assert [i.number for i in found] == [1, 2, 3, 4, 5]
    assert found[0].score == found[0].metrics["own"] == np.mean([0.5, 1.0, 1.5, 2.0])
    rows = make(progress="env_steps", budget=2000, iterations=5)  # the catalogue's name
    assert len(rows.add([record(i + 1) for i in range(20)], final=True)) == 5
    rows.check_names()


def test_beyond_the_budget_iterations_go_on_and_grow():
    rows = make(progress="own", budget=10, iterations=5)
    found = rows.add([record(i + 1) for i in range(20 * 2**10)], final=True)
    assert [i.number for i in found] == list(range(1, 40))  # 5 (1 + ln 1024)
    assert [i.rows for i in found[:4]] == [4] * 4 and found[-1].rows > 2000


def test_the_last_rollout_which_ends_behind_the_budget_is_in_the_last_iteration():
    rows = make(progress="own", budget=10, iterations=100)
    found = rows.add([record(i + 1) for i in range(19)])
    found += rows.add([Record("line 20", {**record(20).values, "own": 10.05})], final=True)
    assert found[-1].number == 100


def test_numbers_that_are_not_finite_are_no_score():
    rows = make()
    loss = {"train/value_loss": 1.0}
    bad = {"train/value_loss": math.nan}
    found = rows.add([record(i + 1, **(bad if i > 3 else loss)) for i in range(12)], final=True)
    assert found[0].score == 1.0 and math.isnan(found[-1].score)
    assert found[-1].metrics["nonfinite"] == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"progress": "time/total_timestep"}, "did you mean time/total_timesteps"),
        ({"metric": "rollout/ep_rew"}, "did you mean rollout/ep_rew_mean"),
        ({"metric": "success_rate"}, "no success_rate, or by a name"),
    ],
)
def test_a_name_that_the_log_lacks_is_refused_with_the_nearest(changed, message):
    rows = make(**changed)
    rows.add([record(i + 1) for i in range(3)])
    with pytest.raises(InputError, match=message):
        rows.check_names()
    sound = make()
    sound.add([record(1)])
    sound.check_names()


def test_an_unknown_log_names_what_looks_like_a_return():
    rows = make()
    rows.add([Record("", {"alpha": 1.0, "profit": float(i), "z": 2.0}) for i in range(5)])
    with pytest.raises(InputError, match="--metric profit"):
        rows.check_names()


def test_a_log_of_steps_without_any_return_is_not_refused():
    rows = make()
    values = {"time/total_timesteps": 100.0, "train/value_loss": 1.0, "time/fps": 5.0}
    rows.add([Record("", values | {"time/total_timesteps": 100.0 * i}) for i in range(5)])
    rows.check_names()
    rewards = {f"agent_{i}/reward": 1.0 for i in range(2)}
    rows.add([Record("", values | rewards) for i in range(5)])
    with pytest.raises(InputError, match="--metric agent_0/reward"):
        rows.check_names()


def test_success_is_the_score_where_no_return_is_known():
    rows = make()
    values = {"epoch": 1.0, "test/success_rate": 0.25, "train/success_rate": 0.5}
    (iteration,) = rows.add([Record("", values)], final=True)
    assert (rows.score, iteration.score) == ("success_rate", 0.5)
    rows.check_names()
    rows.add([Record("", values | {"return": 7.0})], final=True)
    assert rows.score == "success_rate"  # scores of one log are of one kind


def test_merged_rows_add_counts_and_average_measurements():
    a = {"episodes": 3.0, "kl": 0.1, "env_steps": 10.0, "nonfinite_where": "x", "nonfinite": 1}
    b = {"episodes": 4.0, "kl": 0.3, "env_steps": 20.0, "lr": 1e-3}
    assert merge_rows([a, b]) == {
        **{"episodes": 7.0, "kl": pytest.approx(0.2), "kl_max": 0.3, "env_steps": 20.0},
        **{"nonfinite_where": "x", "nonfinite": 1.0, "lr": 1e-3},
    }


def test_scores_of_one_log_are_of_one_kind():
    exact = [{"episode_return": 300.0} if i % 2 else {} for i in range(20)]
    records = [record(i, **{"rollout/ep_rew_mean": 100.0} | row) for i, row in enumerate(exact)]
    rows = make()
    scores = [i.score for i in rows.add(records, final=True)]
    assert not rows.is_smoothed and set(scores) == {None, 300.0}
