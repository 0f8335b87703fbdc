"""The videos of a report: recorded episodes, inside the page as long as they are small."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from tune_jobs.formatting import count, format_measurement
from tune_jobs.report.html_parts import render_note, section
from tune_jobs.run_log.events import VideoRow
from tune_jobs.run_log.outcome import Outcome

MOST_BYTES = 20 * 2**20
"""Bytes of all videos inside a page; later ones are links to files in the same folder."""


def render_video_section(outcome: Outcome, directory: Path) -> list[str]:
    """Return the section with the videos of a run; nothing where none was asked for.

    Args:
        outcome: the run.
        directory: the folder of the page, which the paths of the videos are relative to.
    """
    if not outcome.videos:
        return []
    parts: list[str] = []
    left = MOST_BYTES
    for row in outcome.videos:
        if row.failure:
            parts.append(render_note(f"Trial {row.trial} was not recorded: {row.failure}."))
            continue
        path = directory / row.path
        if not path.is_file():
            parts.append(render_note(f"{row.path} is not there any more."))
            continue
        size = path.stat().st_size
        inside = size <= left
        left -= size if inside else 0
        parts.append(_render_video(row, path if inside else None))
    note = render_note("Sampled actions, as in training.")
    return [section("Videos", f'<div class="pair">{"".join(parts)}</div>', note)]


def describe_video(row: VideoRow) -> str:
    """Describe a recorded episode in words: its seed, return and steps."""
    end = "" if row.is_complete else ", cut off before its end"
    episode_return = format_measurement(row.episode_return)
    return f"seed {row.seed}: return {episode_return} in {count(row.steps, 'step')}{end}"


def _render_video(row: VideoRow, path: Path | None) -> str:
    """Render one video: the file itself at ``path``, otherwise a link to it."""
    about = escape(f"Trial {row.trial}, {describe_video(row)}")
    link = f'<a href="{escape(row.path)}">{escape(row.path)}</a>'
    if path is None:
        return f"<figure><figcaption>{about}. Too large for this page: {link}</figcaption></figure>"
    # As data: the page is one file that can be sent, and its security policy admits no other one.
    data = base64.b64encode(path.read_bytes()).decode()
    video = f'<video controls muted loop playsinline src="data:video/mp4;base64,{data}"></video>'
    return f"<figure>{video}<figcaption>{about} ({link})</figcaption></figure>"
