# pyright: basic, reportArgumentType=false
"""Videos in the report: inside the page while they are small, as links otherwise."""

import base64

from synthetic_sweep import job_row, result

from rungwise.run_log.events import VideoRow
from rungwise.run_log.outcome import Outcome
from tune_jobs.report import run_sections
from tune_jobs.report.report import write_report
from tune_jobs.report.run_sections import describe_video, render_video_section

ROWS = [job_row(trials=1), result("00", 1, 0.5)]


def video(name="a", **changed):
    about = {"trial": "00", "checkpoint": "c", "path": f"videos/{name}.mp4", "seed": 4, "steps": 84}
    return VideoRow(**about | {"episode_return": -83.0} | changed)


def section_of(directory, *rows):
    return "".join(render_video_section(Outcome.from_rows([*ROWS, *rows]), directory))


def test_a_video_is_part_of_the_page(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_bytes(b"frames")
    write_report([*ROWS, video()], "env: x\n", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f'src="data:video/mp4;base64,{base64.b64encode(b"frames").decode()}"' in page
    assert "media-src data:" in page, "its security policy admits it"
    assert "Trial 00, sampled actions, as in training, seed 4: return -83.0 in 84 steps" in page
    assert 'href="videos/a.mp4"' in page


def test_a_video_says_whose_actions_it_shows(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_bytes(b"frames")
    assert "Trial 00, most likely actions, seed 4" in section_of(tmp_path, video(greedy=True))


def test_a_large_video_is_a_link(tmp_path, monkeypatch):
    monkeypatch.setattr(run_sections, "MOST_BYTES", 8)
    (tmp_path / "videos").mkdir()
    for name in "ab":
        (tmp_path / f"videos/{name}.mp4").write_bytes(b"frames")
    section = section_of(tmp_path, video("a"), video("b"))
    assert section.count("<video") == 1
    assert 'Too large for this page: <a href="videos/b.mp4">' in section


def test_what_is_missing_is_said(tmp_path):
    assert section_of(tmp_path) == ""
    section = section_of(tmp_path, video(), video(path="", failure="no display <here>"))
    assert "videos/a.mp4 is not there any more" in section
    assert "Trial 00 was not recorded: no display &lt;here&gt;" in section


def test_a_cut_episode_is_described_as_such():
    assert describe_video(video(is_complete=False)).endswith("84 steps, cut off before its end")


def test_a_second_recording_replaces_the_first():
    rows = [video(), video("b"), video(episode_return=-70.0)]
    found = Outcome.from_rows([*ROWS, *rows]).videos
    assert [(row.path[7], row.episode_return) for row in found] == [("a", -70.0), ("b", -83.0)]
