# pyright: basic, reportOptionalMemberAccess=false, reportOptionalOperand=false

import pytest
from foreign_logs import write_columns, write_events

from algos.metrics import METRICS
from envs.validation import InputError
from tune_jobs.foreign_logs.names.name_matching import KNOWN
from tune_jobs.foreign_logs.read_logs import read_logs


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
