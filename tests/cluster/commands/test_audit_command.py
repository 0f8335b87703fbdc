# pyright: basic
"""``rungwise audit`` as a user calls it, and its page in a browser."""

import pytest
from chromium import browser, needs_browser
from command_line import answer, call
from foreign_logs import write_columns
from health_runs import flat, rising

FADING = (1, 2, 3, 9)
"""Seeds of noise that leaves no hope of a gain."""


@pytest.fixture
def experiments(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNGWISE_CACHE", str(tmp_path / "cache"))
    steps = [(i + 1) * 100 for i in range(100)]
    for seed in range(4):
        for name, returns in (
            ("good", rising(100, high=seed + 1)),
            ("bad", flat(100, noise=0.005, seed=FADING[seed])),
        ):
            path = tmp_path / "exp" / f"{name}-{seed}" / "progress.csv"
            write_columns(path, step=steps, **{"return": returns})
    return tmp_path


@pytest.mark.system
def test_the_account_is_printed_and_the_page_written(experiments):
    done = call("audit", "exp", cwd=experiments)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("8 logs in 1 group read in ") and "(CSV 8)" in lines[0]
    assert lines[2].startswith("ended early   4 runs, after ")
    assert lines[3].startswith("  right        4: ended in the lower two thirds")
    assert any(line.startswith("by rule       no_improvement 4 (0 wrong)") for line in lines)
    assert any(
        line.startswith("  no_improvement: wrongly ended 0 (at most 31 %) of 8") for line in lines
    )
    assert any(line.startswith("scheduler     would have saved ") for line in lines)
    assert lines[-1] == "report        audit.html" and (experiments / "audit.html").is_file()


@pytest.mark.system
def test_the_answer_is_json(experiments):
    said = answer(call("audit", "exp", "--json", "--scheduler", "none", cwd=experiments))
    assert said["logs"] == said["judged"] == 8 and said["verdicts"]["right"] == 4
    assert {ended["name"] for ended in said["ended"]} == {f"bad-{seed}" for seed in range(4)}
    assert said["sweeps"] == [] and said["page"] == "audit.html"


@pytest.mark.system
def test_a_careful_user_lets_only_proven_rules_end_a_run(experiments):
    said = answer(call("audit", "exp", "--json", "--max-wrong", "1e-9", cwd=experiments))
    assert said["ended"] == [] and said["warned"] >= 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "needs a path"),
        (("nowhere",), "There is no nowhere"),
        (("exp", "--out", "no/where.html"), "is in no folder that exists"),
        (("exp", "--group", "(["), "--group"),
        (("exp", "--workers", "-1"), "workers must be at least 0"),
        (("exp", "--budget", "-5"), "budget must be at least 0"),
        (("exp", "--max-wrong", "2"), "--max-wrong must be in [0, 1]"),
        (("exp", "--rename", "return=retrun_mean"), "return_mean"),
    ],
)
def test_a_wrong_call_is_explained(experiments, words, sentence):
    done = call("audit", *words, cwd=experiments)
    assert done.returncode == 2 and sentence in done.stderr


@pytest.mark.system
@needs_browser
def test_the_page_sorts_and_filters(experiments, tmp_path):
    call("audit", "exp", cwd=experiments)
    names = "[...document.querySelectorAll('#ended tbody tr:not([hidden])')]"
    with browser(tmp_path / "profile") as page:
        page.open((experiments / "audit.html").as_uri())
        read = f"{names}.map((row) => row.cells[0].textContent)"
        page.click("document.querySelector('#ended th button')")
        assert page.ask(read) == [f"bad-{seed}" for seed in range(4)]
        page.click("document.querySelector('#ended th button')")
        assert page.ask(read) == [f"bad-{seed}" for seed in reversed(range(4))]
        choose = "const s = document.querySelector('[data-column=\"3\"]'); s.value = '{}';"
        page.ask(choose.format("right") + " s.dispatchEvent(new Event('change'));")
        assert page.ask(f"{names}.length") == 4
        assert page.errors == [] and not [u for u in page.requests if u.startswith("http")]
