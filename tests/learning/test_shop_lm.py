# pyright: basic
"""A small language model learns to shop by A*-PO; what it costs is printed."""

import resource

import pytest

pytest.importorskip("tantivy", reason="the extra [shop] is not installed")
pytest.importorskip("transformers", reason="the extra [lm] is not installed")

from command_line import answer, rungwise

from tune_jobs.events import ResultRow, read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def test_the_tiny_language_model_shops_better_after_a_whole_run_than_at_its_start(tmp_path):
    import transformers

    done = rungwise(
        *("train", "shop-lm-tiny", "--evaluation-episodes", 0, "--json", "--out", "run"),
        cwd=tmp_path,
        timeout=2300,
    )
    assert done.returncode == 0, done.stderr
    rows = [r for r in read(tmp_path / "run" / "events.jsonl") if isinstance(r, ResultRow)]
    scores = [row.metrics["score"] for row in rows]
    before, after = (sum(part) / 5 for part in (scores[:5], scores[-5:]))
    learning = sum(row.metrics["learn_s"] for row in rows)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    print(
        f"\nscore {before:.1f} to {after:.1f} (means of 5 iterations), first {scores[0]:.1f}; "
        f"{rows[-1].metrics['env_steps']:.0f} steps, learning {learning:.0f} s, largest process "
        f"{peak:.0f} MiB"
    )
    assert after > before + 4 and after > scores[0]
    saved = tmp_path / answer(done)["checkpoint"] / "policy" / "language_model"
    model = transformers.AutoModelForCausalLM.from_pretrained(saved)
    assert model.num_parameters() < 200_000
