"""The column that is probably the return."""

import math

import pytest
from foreign_logs import write_columns

from rungwise.judging.doctor import doctor
from rungwise.logs.likely_return import may_be_return
from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError

WAVES = [math.sin(i) + i / 20 for i in range(40)]


@pytest.mark.parametrize(
    ("columns", "likely"),
    [
        (dict.fromkeys(("alpha", "profit", "mean_reward_loss"), WAVES), "profit"),
        (dict.fromkeys(("AccReward2", "profit", "AccReward"), WAVES), "AccReward2"),
        (dict.fromkeys(("rewards_std", "train gain"), WAVES), "train gain"),
        ({"alpha": range(40), "beta": [1.0] * 40, "gain": range(40)}, "gain"),
        ({"alpha": range(40), "beta": [1.0] * 40, "gamma_x": WAVES}, "gamma_x"),
        ({"a": [-w for w in WAVES], "b": WAVES}, "b"),
    ],
)
def test_of_an_unknown_log_the_likeliest_column_is_suggested(tmp_path, columns, likely):
    with pytest.raises(InputError, match=f"'{likely}=return_mean'"):
        read_logs(write_columns(tmp_path / "a.csv", **columns))


def test_a_log_without_a_return_says_which_column_may_be_it(tmp_path):
    path = write_columns(tmp_path / "a.csv", alpha=list(range(40)), profit=WAVES, entropy=WAVES)
    assert doctor(path)["logs"][0]["likely_return"] == "profit"
    known = write_columns(tmp_path / "b.csv", reward=WAVES, profit=WAVES)
    assert doctor(known)["logs"][0]["likely_return"] == ""


def test_names_are_listed_by_their_meaning_and_not_by_alphabet(tmp_path):
    columns = dict.fromkeys(("aaa", "loss_b", "profit", "task_score", "zz/mean_return_x"), WAVES)
    with pytest.raises(InputError, match=r"has task_score, zz/mean_return_x, profit, aaa, loss_b,"):
        read_logs(write_columns(tmp_path / "a.csv", **columns))


def test_a_log_without_a_candidate_says_in_words_how_to_name_one(tmp_path):
    with pytest.raises(InputError, match="give --rename its name, an equals sign") as error:
        read_logs(write_columns(tmp_path / "b.csv", loss_b=WAVES, step=range(40)))
    assert "NAME" not in str(error.value) and "'=return" not in str(error.value)


@pytest.mark.parametrize("name", ["", " ", "sep=", "best_reward", "reward_std"])
def test_no_rename_is_advised_for_what_is_no_return(name):
    assert not may_be_return(name)
