# pyright: basic, reportOptionalMemberAccess=false, reportArgumentType=false
"""The data of the live page: events, state and curves of a run."""

import json

from dashboard_app import read_whole, write
from synthetic_sweep import job_row, result, synthetic_rows

from cluster.dashboard import views
from cluster.dashboard.views import TAB_BUILDERS, build_tab


def test_every_decision_finding_and_end_is_told_in_words(tmp_path):
    rows = synthetic_rows()
    board = read_whole(write(tmp_path, rows))
    told = views.list_events(board, 0)
    kinds = ("decision", "finding", "end")
    assert [t["kind"] for t in told if t["kind"] in kinds] == [
        row.kind for row in rows if row.kind in kinds
    ]
    assert views.build_run_state(board)["num_events"] == len(told)
    assert views.list_events(board, len(told) - 2) == told[-2:]
    finding = next(t for t in told if t["kind"] == "finding")
    assert finding["text"].startswith("KL 14.2 at iteration 2") and finding["remedy"]


def test_the_whole_state_is_strict_json(tmp_path):
    rows = [*synthetic_rows(), result("01", 40, float("nan"), metrics={"kl": float("inf")})]
    board = read_whole(write(tmp_path, rows))
    for data in (
        views.build_run_state(board),
        views.build_curves(board, ""),
        views.build_curves(board, "kl"),
    ):
        json.dumps(data, allow_nan=False)
    for name in TAB_BUILDERS:
        json.dumps(build_tab(board, name), allow_nan=False)


def test_a_run_that_has_just_begun_can_be_looked_at(tmp_path):
    write(tmp_path, [])
    assert views.build_run_state(read_whole(tmp_path))["job"] is None
    write(tmp_path, [job_row()])
    state = views.build_run_state(read_whole(tmp_path))
    assert state["trials"] == [] and state["cards"][0]["value"] == "-"


def test_a_rung_that_does_not_predict_the_next_is_a_risk_beside_what_was_saved(tmp_path):
    def read_note(directory, order):
        rows = [job_row(trials=16, iterations=8, scheduler={"kind": "asha", "rungs": [2, 4]})]
        for place in range(16):
            scores = {2: place, 4: order * place % 16, 8: place}
            rows += [result(f"{place:02d}", at, float(score)) for at, score in scores.items()]
        cards = views.build_run_state(read_whole(write(tmp_path / directory, rows)))["cards"]
        return next(card["note"] for card in cards if card["name"] == "compute saved")

    assert "early stopping was risky here" in read_note("blind", 7)
    assert "risky" not in read_note("telling", 1)
