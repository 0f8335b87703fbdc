# pyright: basic, reportArgumentType=false
"""Commands that write to a path which cannot be written end with a sentence."""

import pytest
from finished_run import silent
from paths import NOWHERE

from cluster.commands.groups import COMMANDS
from rungwise.validation import InputError

RUN = "submit cartpole --run /run --slurm --render --files"
POD = "deploy --image image --claim claim --render --files"


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ("monitoring --out", "--out"),
        (RUN, "--files"),
        (POD, "--files"),
        ("service", "another directory"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused(words, flag):
    name, *flags = words.split()
    with pytest.raises(InputError, match=rf"^{NOWHERE}.* cannot be written \(No such .*{flag}\.$"):
        COMMANDS[name].parse([*flags, NOWHERE])(silent())


def test_a_copy_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "events.jsonl").touch()
    source = f"file://{tmp_path}/run"
    with pytest.raises(InputError, match=rf"^{NOWHERE} cannot be written .*--out\.$"):
        COMMANDS["fetch"].parse([source, "--out", NOWHERE])(silent())
