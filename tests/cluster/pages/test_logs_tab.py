# pyright: basic
"""The ends of logs on the page."""

from cluster.pages.logs_tab import read_log_texts
from tune_jobs.programs.process import STDERR, STDOUT
from tune_jobs.programs.trial_program import get_program_folder


def test_logs_are_shown_from_their_ends(tmp_path):
    (tmp_path / "driver.log").write_text("x" * 30_000 + "the last line")
    for trial in ("00", "01"):
        folder = get_program_folder(tmp_path, trial)
        folder.mkdir(parents=True)
        (folder / STDOUT).write_text(f"said by {trial}")
        (folder / STDERR).touch()
    texts = read_log_texts(tmp_path)
    assert texts["driver.log"].endswith("the last line") and len(texts["driver.log"]) == 20_000
    own = {"programs/01/stdout.log": "said by 01"}
    assert texts.keys() == {"driver.log", "programs/00/stdout.log", *own}
    assert read_log_texts(tmp_path, "01") == own
