"""The event log gives back what was written, whatever happened to its writer."""

# pyright: basic
import json
import math
import os
from typing import Any

import numpy as np
import pytest
from dashboard_app import read_whole
from synthetic_sweep import end, job_row, result

from rungwise.run_log.event_log import (
    EventLog,
    encode_row,
    read_event_log,
    read_job_end,
    read_log_ends,
    read_result_head,
)
from rungwise.run_log.events import LOG_VERSION, JobEndRow, ResultRow, TrialRow, VideoRow
from rungwise.validation import InputError, InputWarning


def test_every_kind_of_row_comes_back_as_it_was(tmp_path, sweep_rows):
    log = EventLog(tmp_path / "events.jsonl")
    finite = [row for row in sweep_rows if "nonfinite" not in encode_row(row)]
    for row in finite:
        log.append(row)
    assert read_event_log(log.path) == finite
    assert len({row.kind for row in finite}) == 9


def test_lines_are_strict_json_and_non_finite_numbers_survive(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    metrics = {"a/b": math.inf, "shares": [0.5, -math.inf], "kl": np.float32("nan"), "lr": 0.1}
    log.append(result("01", 1, math.nan, metrics=metrics))
    line = json.loads(log.path.read_text(), parse_constant=lambda word: pytest.fail(word))
    assert line["score"] is None
    assert line["metrics"] == {"a/b": None, "shares": [0.5, None], "kl": None, "lr": 0.1}
    row: Any = read_event_log(log.path)[0]
    assert math.isnan(row.score) and math.isnan(row.metrics["kl"])
    assert row.metrics["a/b"] == math.inf and row.metrics["shares"] == [0.5, -math.inf]


def test_a_partial_last_line_is_left_out_without_a_word(tmp_path, recwarn):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(job_row())
    log.append(result("01", 1, 0.5))
    log.path.write_bytes(log.path.read_bytes()[:-20])
    assert read_event_log(log.path) == [job_row()]
    assert not recwarn.list


def test_a_row_after_a_partial_line_is_not_lost(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(job_row())
    with log.path.open("ab") as file:
        file.write(b'{"kind": "resu')
    log.append(end("01", 3, "budget"))
    with pytest.warns(UserWarning, match="line 2 is not an event row"):
        assert read_event_log(log.path) == [job_row(), end("01", 3, "budget")]


@pytest.mark.parametrize(
    "broken", [b"\xff\xfe", b"5", b"{}", b'{"kind": "later"}', b'{"kind": "end"}']
)
def test_a_broken_middle_line_is_named_in_a_warning(tmp_path, broken):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(job_row())
    log.path.write_bytes(log.path.read_bytes() + broken + b"\n")
    log.append(end("01", 3, "budget"))
    with pytest.warns(UserWarning, match="line 2"):
        assert len(read_event_log(log.path)) == 2


def test_a_damaged_log_is_named_in_one_warning(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(job_row())
    log.path.write_bytes(log.path.read_bytes() + b"\xff damaged\n" * 1200)
    log.append(end("01", 3, "budget"))
    with pytest.warns(InputWarning) as caught:
        assert len(read_event_log(log.path)) == 2
    # Others may come from what the garbage collector closes meanwhile.
    (warning,) = (str(one.message) for one in caught if one.category is InputWarning)
    assert "1,200 lines" in warning and "line 2" in warning


def test_fields_of_a_later_version_do_not_hinder_reading(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({**json.loads(encode_row(job_row())), "colour": "red"}) + "\n")
    assert read_event_log(path) == [job_row()]


def test_a_missing_log_is_said_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"There is no .*events\.jsonl"):
        read_event_log(tmp_path / "events.jsonl")


def test_a_short_write_is_an_error(tmp_path, monkeypatch):
    """A disk that is nearly full takes a part of a row and says only how much it took."""
    log = EventLog(tmp_path / "events.jsonl")
    log.append(job_row())
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[: len(line) // 2]))
    with pytest.raises(OSError, match="only a part of a row"):
        log.append(end("01", 3, "budget"))
    monkeypatch.undo()
    assert read_event_log(log.path) == [job_row()]


def test_undecided_and_non_finite_scores_stay_distinct(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    for score in (None, math.nan):
        log.append(result("01", 1, score))
    rows: Any = read_event_log(log.path)
    undecided, diverged = rows
    assert undecided.score is None and math.isnan(diverged.score)


@pytest.mark.parametrize("score", [0.5, -1e-9, None, math.nan, math.inf])
def test_the_head_of_a_result_is_read_as_it_is_written(score):
    row = ResultRow(trial="07", iteration=12, score=score, seconds=1.0, env_steps=9)
    head = read_result_head(encode_row(row).encode() + b"\n")
    assert head is not None and (head.trial, head.iteration) == ("07", 12)
    assert (head.seconds, head.env_steps) == (1.0, 9)
    # Null stands for every score that is not finite.
    finite = score is not None and math.isfinite(score)
    assert head.score == score if finite else math.isnan(head.score)


@pytest.mark.parametrize("name", ["iteration", "env_steps", "stagnant", "stage_since"])
@pytest.mark.parametrize("value", ["1.5", "1e400", "-1e400", str(2**63), "9" * 400, "true", '"1"'])
def test_a_count_that_is_no_whole_number_is_damage(tmp_path, name, value):
    field, log = f'"{name}": ', EventLog(tmp_path / "events.jsonl")
    line = encode_row(result("00", 7, 0.5, env_steps=7, stage_since=7, stagnant=7))
    damaged = line.replace(field + "7", field + value)
    assert damaged != line
    log.path.write_text("\n".join([line, damaged, line, ""]))
    with pytest.warns(InputWarning, match="line 2 is not an event row"):
        assert len(read_event_log(log.path)) == 2
    assert read_result_head(damaged.encode() + b"\n") is None


def test_a_whole_number_may_be_written_as_a_float(tmp_path):
    path = tmp_path / "events.jsonl"
    line = encode_row(result("00", 7, 0.5)).replace('"iteration": 7', '"iteration": 7.0')
    path.write_text(line + "\n")
    (row,) = read_event_log(path)
    assert isinstance(row, ResultRow) and type(row.iteration) is int and row.iteration == 7


def test_other_rows_have_no_result_head():
    assert read_result_head(encode_row(TrialRow(trial="00", config={})).encode()) is None
    assert read_result_head(b'{"kind": "result", "iteration": 1}') is None


def test_a_result_that_was_cut_short_has_no_head():
    line = encode_row(result("00", 1, 0.5, metrics={"kl": 0.1, "entropy": math.inf})).encode()
    head = line.index(b'"metrics"')
    assert all(read_result_head(line[:cut] + b"\n") is None for cut in range(head, len(line)))


def test_the_ends_of_a_log_are_read_without_the_rest(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"no row\n")
    assert read_log_ends(path) == (None, None)
    path.unlink()
    first, last = job_row(), JobEndRow(reason="done", seconds=1.0)
    for row in (first, TrialRow(trial="00", config={}), last):
        EventLog(path).append(row)
    assert read_log_ends(path) == (first, last)


@pytest.mark.parametrize("num_videos", [1, 100])
def test_videos_recorded_after_an_end_do_not_withdraw_it(tmp_path, num_videos):
    log, last = EventLog(tmp_path / "events.jsonl"), JobEndRow(reason="done", seconds=1.0)
    log.append(job_row())
    log.append(TrialRow(trial="00", config={"about": "x" * 100_000}))
    log.append(last)
    for seed in range(num_videos):
        log.append(VideoRow(trial="00", checkpoint="00/c", path="videos/a.mp4", seed=seed))
    assert read_log_ends(log.path) == (job_row(), last)
    with log.path.open("ab") as file:
        file.write(b'{"kind": "vid')  # the recording was killed
    assert read_job_end(log.path) == last
    log.append(job_row())  # a resumed run is at work
    assert read_job_end(log.path) is None
    log.append(end("00", 3, "interrupted"))
    assert read_job_end(log.path) is None


def test_an_end_before_the_first_byte_to_read_does_not_count(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(JobEndRow(reason="done", seconds=1.0))
    size = log.path.stat().st_size
    log.append(end("00", 3, "interrupted"))
    assert read_job_end(log.path, 0) and read_job_end(log.path, size) is None
    assert read_job_end(log.path, 2 * log.path.stat().st_size) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("iteration", "x"), ("score", [1]), ("score", "0.5"), ("metrics", "kl"), ("trial", 1)],
)
def test_a_row_with_a_value_of_another_type_is_left_out(tmp_path, field, value):
    log = EventLog(tmp_path / "events.jsonl")
    row = result("01", 1, 0.5)
    line = json.dumps(json.loads(encode_row(row)) | {field: value})
    log.path.write_text(f"{encode_row(row)}\n{line}\n{encode_row(row)}\n")
    with pytest.warns(
        InputWarning, match=rf"line 2 is not .* left out \({field} is .* of its type"
    ):
        assert read_event_log(log.path) == [row, row]


def test_a_whole_number_may_be_written_with_a_point(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    fields = json.loads(encode_row(result("01", 1, 0.5)))
    log.path.write_text(json.dumps(fields | {"iteration": 1.0, "score": 1, "later": "field"}))
    assert read_event_log(log.path) == [result("01", 1, 1)]


def test_log_of_a_later_version_is_refused(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.append(job_row(version=LOG_VERSION + 1, time=0.0))
    log.append(result("00", 1, 0.5))
    with pytest.raises(InputError, match=r"events\.jsonl cannot be read: it is of version 3"):
        read_event_log(log.path)
    assert read_log_ends(log.path) == (None, None)
    page = read_whole(tmp_path)
    assert page.outcome is None and "Install a later one" in page.refusal
