"""Which files at a path are logs, and of which run."""

import pytest
from foreign_logs import write_columns, write_results
from health_runs import rising
from paths import DATA

from rungwise.judging.doctor import doctor
from rungwise.logs.discovery import LeftOut, find_logs, find_readers
from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError


def test_one_unreadable_file_does_not_end_a_folder(tmp_path):
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    (tmp_path / "events.out.tfevents.0").write_bytes(b"no events, but as many bytes as a frame")
    write_columns(tmp_path / "b" / "good.csv", step=list(range(20)), reward=rising(20))
    answer = doctor(tmp_path)
    rows = {log["name"]: log["rows"] for log in answer["logs"]}
    assert rows == {"gone.csv": 0, tmp_path.name: 0, "b/good.csv": 20}
    notes = {log["name"]: log["note"] for log in answer["logs"]}
    assert "cannot be read" in notes["gone.csv"]
    assert "no TensorBoard file" in notes[tmp_path.name]


def test_a_folder_of_nothing_but_unreadable_files_is_refused(tmp_path):
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match=r"gone\.csv cannot be read"):
        read_logs(tmp_path)


def test_lines_of_json_in_a_folder_are_a_log_where_they_have_a_return(tmp_path):
    write_results(tmp_path / "a" / "log.jsonl", [{"step": i, "reward": i} for i in range(9)])
    write_results(tmp_path / "b" / "config.json", [{"seed": 1, "lr": 0.1}])
    (reader,) = find_readers(tmp_path)
    assert reader.files == [tmp_path / "a" / "log.jsonl"]


def test_console_text_without_metrics_is_no_log(tmp_path):
    (tmp_path / "notes.txt").write_text("{'a': 'b'}\nnothing here\n")
    write_columns(tmp_path / "log.csv", step=[1, 2], reward=[1, 2])
    (reader,) = find_readers(tmp_path)
    assert reader.files == [tmp_path / "log.csv"]


@pytest.mark.parametrize("top, between", [("", "\t"), ("", ";"), ("\n# a comment\n", ",")])
def test_a_table_in_a_folder_is_found_whatever_delimits_it(tmp_path, top, between):
    lines = [["Epoch", "AverageEpRet"], *([str(i), str(2.0 * i)] for i in range(1, 10))]
    text = top + "".join(f"{between.join(line)}\n" for line in lines)
    (tmp_path / "progress.txt").write_text(text)
    (log,) = read_logs(tmp_path)
    assert [row["return_mean"] for row in log.rows] == [2.0 * i for i in range(1, 10)]


@pytest.mark.parametrize("text", ['{\n  "final": 3.0\n}\n', '{"final": 3.0}\n'])
def test_results_of_another_tool_do_not_hide_the_log(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    write_columns(tmp_path / "log.csv", step=range(10), reward=range(10))
    (log,) = read_logs(tmp_path)
    assert (log.format, len(log.rows)) == ("CSV", 10)


def read_or_refuse(path):
    """The rows at a path, or the sentence that refuses it."""
    try:
        return [log.rows for log in read_logs(path)]
    except InputError as error:
        return str(error)


@pytest.mark.parametrize(
    "name", ["d1_garage/progress.csv", "d2_blanks/log.csv", "d8_success/log.txt"]
)
def test_a_folder_says_what_its_file_says(name):
    path = DATA / "strangers" / name
    answer = read_or_refuse(path)
    assert answer == read_or_refuse(path.parent)
    assert "There is no log" not in answer


def test_an_empty_log_does_not_hide_a_full_one():
    folder = DATA / "strangers" / "d9_empty"
    (log,) = read_logs(folder)
    assert (log.format, len(log.rows)) == ("Ray Tune progress.csv", 120)
    last = log.rows[-1]
    assert (last["return_mean_100"], last["env_steps"]) == (306.9933, 480_000)
    (left,) = (one for one in find_logs(folder, {}) if isinstance(one, LeftOut))
    assert left.file.name == "result.json" and "it has no rows" in left.why


def test_what_looks_like_a_log_is_left_out_with_a_reason(tmp_path):
    write_results(tmp_path / "result.json", [{"training_iteration": i} for i in range(1, 9)])
    write_columns(tmp_path / "progress.csv", training_iteration=[1, 2], episode_reward_mean=[1, 2])
    write_columns(tmp_path / "data.csv", x=[1, 2], y=[3, 4])
    (tmp_path / "config.json").write_text('{"seed": 1}')
    (tmp_path / "params.json").write_text('{\n "seed": 1,\n "layers": [8, 8]\n}')
    left = {one.file.name: one.why for one in find_logs(tmp_path, {}) if isinstance(one, LeftOut)}
    assert left.keys() == {"progress.csv", "data.csv"}
    assert "same run" in left["progress.csv"] and "x, y" in left["data.csv"]


def test_an_index_of_runs_beside_their_logs_is_no_log(tmp_path):
    index = tmp_path / "index.json"
    index.write_text('[\n{"run": "a", "final_return": 3.0},\n{"run": "b", "final_return": 4.0}\n]')
    write_columns(tmp_path / "a" / "log.csv", step=[1, 2], reward=[1, 2])
    (reader,) = find_readers(tmp_path)
    assert reader.files == [tmp_path / "a" / "log.csv"]
