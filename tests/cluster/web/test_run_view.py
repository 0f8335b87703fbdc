# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The live page: what it knows of a log, whom it lets in, and what a browser makes of it."""

import math
import re
import warnings

import pytest
from dashboard_app import read_whole, write
from synthetic_sweep import end, job_row, result, synthetic_rows

from cluster.web.run_view import MAX_RESULTS, ResultPoint, RunView, thin_points
from rungwise.run_log.driver_lock import hold_driver_lock
from rungwise.run_log.event_log import EventLog, encode_row, read_event_log
from rungwise.run_log.events import FinalRow, ResultRow, Row, TrialRow
from rungwise.run_log.outcome import Outcome
from rungwise.validation import InputWarning


def curve(board, trial, metric="", most=10):
    """The iterations and values of a curve."""
    return [(p.iteration, p.value) for p in board.read_curve(trial, metric, most)]


def test_a_run_on_the_page_came_to_what_the_log_says(tmp_path):
    rows = synthetic_rows()
    board = read_whole(write(tmp_path / "run", rows))
    told, expected = board.build_outcome(), Outcome.from_rows(rows)
    assert told.as_dict() == expected.as_dict()
    assert [t.status_text for t in told.trials] == [t.status_text for t in expected.trials]
    assert [t.seconds_saved for t in told.trials] == [t.seconds_saved for t in expected.trials]
    assert [tuple(t.scores) for t in told.trials] == [t.scores for t in expected.trials]
    best = expected.best.id
    assert board.build_outcome(full_trial=best).best.results == expected.best.results


def test_an_outcome_grows_as_the_whole_log_says(tmp_path):
    first = synthetic_rows()
    again = [job_row(mode="min", resumed=True), result("00", 4, 0.9), result("01", 9, None)]
    final = FinalRow(
        trial="08", checkpoint="c", metric="m", mode="min", score=0.1, error=0.1, episodes=9, seed=1
    )
    again += [final, result("01", 9, 0.2), result("08", 28, 0.1), end("08", 28, "interrupted")]
    again += [result("08", 28, 0.3), end("01", 9, "error"), result("01", 3, 0.4)]
    rows: list[Row] = [*first, *again]
    write(tmp_path, [])
    board, log = RunView(tmp_path), EventLog(tmp_path / "events.jsonl")
    for count, row in enumerate(rows, 1):
        log.append(row)
        board.refresh()
        shown, expected = board.outcome, Outcome.from_rows(rows[:count])
        assert shown.as_dict() == expected.as_dict()
        assert shown.finals == expected.finals
        for ours, whole in zip(shown.trials, expected.trials, strict=True):
            assert ours.full_status_text == whole.full_status_text
            assert (ours.end, ours.decisions) == (whole.end, whole.decisions)
            assert (ours.seconds, ours.env_steps) == (whole.seconds, whole.env_steps)


@pytest.mark.parametrize("field", ["iteration", "score", "seconds", "env_steps", "trial"])
@pytest.mark.parametrize("value", ["1.5", "1e400", str(2**64), "9" * 400, "1-2", "\\ud800", "-3"])
def test_a_damaged_result_hides_no_other(tmp_path, field, value):
    rows = [job_row(trials=2), *(result("00", i, 0.5) for i in range(1, 9))]
    path = write(tmp_path / "run", rows) / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    lines[4] = re.sub(rf'("{field}": "?)[^,"]*', lambda found: found[1] + value, lines[4])
    path.write_text("".join(lines))
    board = read_whole(path.parent)
    assert board.read_fraction == 1 and not board.refresh()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        expected = Outcome.from_rows(read_event_log(path))
    assert [len(t.scores) for t in board.outcome.trials] == [len(t.scores) for t in expected.trials]
    assert curve(board, "00", "return_mean", 99)[-1][0] == 8


def test_trials_without_a_new_row_are_not_built_again(tmp_path):
    rows = [job_row(trials=2), result("00", 1, 0.5), result("01", 1, 0.6)]
    board = read_whole(write(tmp_path, [*rows, end("01", 1, "asha")]))
    before, drawn = board.outcome, board.build_of(board.outcome.trials[1], "key", object)
    EventLog(tmp_path / "events.jsonl").append(result("00", 2, 0.4))
    board.refresh()
    after = board.outcome
    assert after.trials[0].score == 0.4 and after.trials[0] is not before.trials[0]
    assert after.trials[1] is before.trials[1]
    assert board.build_of(after.trials[1], "key", object) is drawn
    old = board.build_of(before.trials[0], "key", object)
    assert board.build_of(after.trials[0], "key", object) is not old


def test_a_lost_driver_ends_the_run_until_it_is_resumed(tmp_path):
    write(tmp_path, [job_row(trials=1), result("00", 1, 0.5)])
    with hold_driver_lock(tmp_path):
        board = read_whole(tmp_path)
        assert board.outcome.end is None
    board.refresh()
    assert board.outcome.end and board.outcome.end.reason == "error"
    assert board.outcome.trials[0].end_reason == "interrupted"
    with hold_driver_lock(tmp_path):
        board.refresh()
        assert board.outcome.end is None and board.outcome.trials[0].end_reason is None


def test_the_page_shows_the_last_score_measured(tmp_path):
    scores = [0.5, 0.4, None, None]
    rows = [job_row(trials=1), TrialRow(trial="00", config={})]
    rows += [result("00", i, score) for i, score in enumerate(scores, 1)]
    board = read_whole(write(tmp_path, rows))
    trial = board.build_outcome().trials[0]
    assert (trial.score, trial.iterations) == (0.4, 4)
    assert curve(board, "00") == list(enumerate(scores, 1))


def test_refresh_reads_new_lines_only_and_waits_for_their_end(tmp_path):
    path = write(tmp_path, [job_row(), TrialRow(trial="00", config={})]) / "events.jsonl"
    board = read_whole(tmp_path)
    line = encode_row(result("00", 1, 0.5)).encode() + b"\n"
    with path.open("ab") as file:
        file.write(line[:40])
        file.flush()
        before = board.read_to
        board.refresh()
        assert board.read_to == before and not board.trial_results
        file.write(line[40:])
    board.refresh()
    assert board.read_to == path.stat().st_size
    assert curve(board, "00") == [(1, 0.5)]


def test_a_line_that_is_no_row_is_passed_over(tmp_path):
    path = write(tmp_path, [job_row(), result("00", 1, 0.5)]) / "events.jsonl"
    with path.open("a") as file:
        file.write('{"kind": "resu\n{"kind": "unheard of"}\n[1]\n')
    EventLog(path).append(result("00", 2, 0.4))
    assert curve(read_whole(tmp_path), "00") == [(1, 0.5), (2, 0.4)]


def test_a_result_that_a_full_disk_cut_is_left_out_as_in_the_report(tmp_path):
    log = EventLog(write(tmp_path, [job_row(), result("00", 1, 0.5)]) / "events.jsonl")
    with log.path.open("a") as file:
        file.write(encode_row(result("00", 2, 0.1, metrics={"kl": 0.2, "entropy": 0.3}))[:-9])
    log.append(result("01", 1, 0.4))
    with pytest.warns(InputWarning):
        expected = Outcome.from_rows(read_event_log(log.path))
    assert read_whole(tmp_path).outcome.as_dict() == expected.as_dict()


def test_a_result_that_cannot_be_decoded_is_left_out_of_curves(tmp_path):
    rows = [job_row(), *(result("00", i, 0.5, metrics={"kl": i / 8}) for i in (1, 2, 3))]
    log = write(tmp_path, rows) / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b"0.25", b"\0\0\0\0"))  # a block never synced
    board = read_whole(tmp_path)
    assert curve(board, "00", "kl") == [(1, 0.125), (3, 0.375)]
    assert board.build_outcome(full_trial="00").trials[0].iterations == 3


def test_a_log_that_was_replaced_by_a_shorter_one_is_read_anew(tmp_path):
    board = read_whole(write(tmp_path, synthetic_rows()))
    write(tmp_path, [job_row(run="another"), result("00", 1, 0.5)])
    board.refresh()
    assert board.job.run == "another" and list(board.trial_results) == ["00"]


def test_what_a_resume_repeats_replaces_what_was_there(tmp_path):
    first = [job_row(), *(result("00", i, float(i)) for i in range(1, 6))]
    again = [end("00", 5, "interrupted"), job_row(resumed=True), result("00", 4, 40.0)]
    board = read_whole(write(tmp_path, first + again))
    assert curve(board, "00") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]
    assert board.build_outcome().trials[0].end_reason is None


def test_thinning_keeps_spikes(tmp_path):
    length, spike = 5 * MAX_RESULTS, 1234
    rows: list[Row] = [job_row(iterations=length)]
    for i in range(1, length + 1):
        rows.append(result("00", i, 99.0 if i == spike else 1.0 + (i % 7) / 100))
    board = read_whole(write(tmp_path, rows))
    assert len(board.trial_results["00"].points) <= MAX_RESULTS
    drawn = curve(board, "00", most=100)
    assert len(drawn) <= 100 and drawn[0][0] == 1 and drawn[-1][0] == length
    assert (spike, 99.0) in drawn


def test_a_long_trial_is_ranked_by_all_of_its_scores(tmp_path):
    rows: list[Row] = [job_row(trials=2, mode="max"), TrialRow(trial="00", config={})]
    for i in range(1, 3 * MAX_RESULTS):
        # One score in seven is low: the lowest and highest of a stretch have a mean of 0.5.
        rows += [result("00", i, float(i % 7 > 0)), result("01", i, 0.7)]
    board, expected = read_whole(write(tmp_path, rows)), Outcome.from_rows(rows)
    assert board.outcome.best.id == expected.best.id == "00"
    assert board.outcome.as_dict() == expected.as_dict()


def test_scores_that_a_page_holds_stay_when_a_resume_replaces_some(tmp_path):
    board = read_whole(write(tmp_path, [job_row(), *(result("00", i, 0.5) for i in (1, 2, 3))]))
    before = board.outcome.trials[0]
    EventLog(tmp_path / "events.jsonl").append(result("00", 2, 0.4))
    board.refresh()
    assert list(before.scores) == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert list(board.outcome.trials[0].scores) == [(1, 0.5), (2, 0.4)]


def test_thinning_keeps_the_last_score():
    scores = [float(i % 10) for i in range(994)] + [math.nan] * 6
    points = [ResultPoint(i, score, 1.0 * i, i, i, 1) for i, score in enumerate(scores)]
    assert points[993] in thin_points(points, 50)


def test_thinning_keeps_both_ends_and_local_extremes():
    points = [ResultPoint(i, float((i * 37) % 101), 1.0 * i, i, i, 1) for i in range(1000)]
    kept = thin_points(points, 50)
    assert len(kept) <= 50 and kept[0] == points[0] and kept[-1] == points[-1]
    assert {p.score for p in kept} >= {0.0, 100.0}
    assert kept == sorted(kept)


def test_another_metric_is_read_from_the_whole_rows(tmp_path):
    rows = [job_row()]
    values = [0.5, None, float("inf"), 0.25]
    rows += [result("00", i, 1.0, metrics={"kl": v}) for i, v in enumerate(values, start=1)]
    board = read_whole(write(tmp_path, rows))
    assert curve(board, "00", "kl") == [(1, 0.5), (2, None), (3, None), (4, 0.25)]


def test_the_page_shows_the_progress_of_stage_1(tmp_path):
    rows: list[Row] = [job_row(trials=1), TrialRow(trial="00", config={})]
    for done in (10, 40):
        metrics = {"v_star_starts": done, "v_star_starts_left": 100 - done}
        row = ResultRow(
            trial="00", iteration=0, score=None, seconds=1.0, env_steps=9, metrics=metrics
        )
        rows.append(row)
    board = read_whole(write(tmp_path, rows))
    assert board.build_outcome().trials[0].status_text == "V* of 40/100 starts"
    assert curve(board, "00", "v_star_starts") == [(0, 40.0)]
    EventLog(tmp_path / "events.jsonl").append(result("00", 1, 0.5))
    board.refresh()
    assert board.build_outcome().trials[0].status_text == "running"
    assert curve(board, "00") == [(1, 0.5)]
