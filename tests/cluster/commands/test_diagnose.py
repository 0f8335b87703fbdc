# pyright: basic
"""``rungwise doctor`` and ``rungwise explain`` as a user calls them."""

import csv
import math

import pytest
from command_line import answer, call

from rungwise.health import RULES
from rungwise.health.remedy import COMMON, OtherLibrary, worded


def write(path, count=40, **columns):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([column(i) for column in columns.values()] for i in range(1, count + 1))
    return path


def learns(i):
    return 100 * (1 - math.exp(-i / 8)) + i % 3


def dead(i):
    return 1 + 0.1 * (i % 3)


def collapsed(i):
    return round(1.3 * 0.7**i, 6)


@pytest.fixture
def sick(tmp_path):
    return write(tmp_path / "sick.csv", step=lambda i: 100 * i, reward=dead, entropy=collapsed)


@pytest.fixture
def healthy(tmp_path):
    path = tmp_path / "healthy.csv"
    return write(path, step=lambda i: 100 * i, reward=learns, entropy=lambda i: 1.3 - i / 50)


def test_doctor_says_what_is_wrong_since_when_and_what_to_try(sick, tmp_path):
    done = call("doctor", sick, cwd=tmp_path)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "sick.csvCSV,40iterations" in said.replace(" ", "")  # a long path is wrapped
    assert "stop entropy_collapse since iteration 10 entropy is" in said
    assert worded(RULES["entropy_collapse"].remedy, other=OtherLibrary(COMMON)) in said
    assert "hung (no runners_lost)" in said
    assert "call for a stop: entropy_collapse." in done.stderr
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


def test_doctor_with_json_prints_one_object_and_the_same_status(sick, tmp_path):
    done = call("doctor", sick, "--json", cwd=tmp_path)
    assert done.returncode == 1
    told = answer(done)
    assert {"findings", "judged", "not_judged", "siblings", "logs"} <= told.keys()
    first = told["findings"][0]
    assert first.keys() == {"log", "symptom", "severity", "since", "evidence", "remedy"}
    assert told["not_judged"]["hung"].startswith("the log has no runners_lost")


def test_doctor_of_a_healthy_run_says_how_many_rules_looked(healthy, tmp_path):
    done = call("doctor", healthy, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "judged this log and found no fault" in done.stdout
    assert done.stderr == ""


def test_doctor_renames_metrics_and_lists_the_unknown_ones(tmp_path):
    path = write(tmp_path / "a.csv", step=float, profit=learns, certainty=dead, mood=dead)
    refused = call("doctor", path, cwd=tmp_path)
    assert refused.returncode == 2
    assert "--rename" in refused.stderr
    renamed = ["--rename", "profit=return_mean", "--rename", "certainty=entropy"]
    done = call("doctor", path, *renamed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "unknown metrics: mood" in done.stdout


def test_doctor_separates_shared_faults_from_single_ones(tmp_path):
    for name in "abc":
        write(tmp_path / name / "log.csv", step=float, reward=dead, entropy=collapsed)
    done = call("doctor", tmp_path, cwd=tmp_path)
    said = " ".join(done.stdout.split())
    assert (
        "entropy_collapse: all 3 trials that came as far, so it comes from what they share" in said
    )


def test_doctor_judges_several_paths_and_says_which_is_too_short(sick, tmp_path):
    short = write(tmp_path / "short.csv", count=1, step=float, reward=dead)
    done = call("doctor", sick, short, cwd=tmp_path)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "sick.csvCSV,40iterations" in said.replace(" ", "")  # a long path is wrapped
    assert "too short to judge: 1 iteration, and at least 15 are needed" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["doctor"], "needs a path"),
        (["doctor", "nowhere"], "nowhere"),
        (["doctor", ".", "--rename", "profit"], "it is 'profit'"),
        (["explain", "entropy_colapse"], "did you mean entropy_collapse"),
    ],
)
def test_a_wrong_call_gets_a_sentence_and_status_2(words, said, tmp_path):
    done = call(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_explain_describes_one_symptom_or_lists_all(tmp_path):
    done = call("explain", "value_divergence", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "growth = 30: Value loss of the last third" in said
    assert worded(RULES["value_divergence"].remedy) in said
    listed = call("explain", cwd=tmp_path).stdout
    assert all(symptom in listed for symptom in RULES)
    assert set(answer(call("explain", "--json", cwd=tmp_path))["symptoms"]) == set(RULES)
    one = answer(call("explain", "hung", "--json", cwd=tmp_path))
    assert one["symptom"] == "hung"
