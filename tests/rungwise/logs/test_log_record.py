# pyright: basic
"""JSON of a log is read or refused, whatever a program writes to it."""

import math

import pytest

from rungwise.logs.log_record import flatten, parse_json
from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError

DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


def test_an_integer_beyond_a_float_is_infinite():
    assert parse_json("[12, 1%s]" % ("0" * 400)) == [12, math.inf]
    assert parse_json(b"-%s" % (b"9" * 5000)) == -math.inf


def test_what_is_nested_too_deep_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json(DEEP)


def test_nested_names_are_joined_in_their_order():
    nested = {"a": {"x": 1, "b": {"y": None, "z": [2]}}, "c": "text"}
    assert list(flatten(nested).items()) == [("a/x", 1), ("a/b/z", [2]), ("c", "text")]
    deep = {}
    for _ in range(5000):
        deep = {"a": deep or 3}
    assert list(flatten(deep).values()) == [3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.jsonl", '{"step": 1, "return_mean": 2}\n' + f"{DEEP}\n" * 2),
        ("trainer_state.json", DEEP),
        ("log.jsonl", '{"return_mean": [%s]}\n' % ("9" * 500)),
    ],
)
def test_a_log_with_such_a_line_is_refused_with_a_sentence(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as refused:
        read_logs(tmp_path / name)
    assert str(tmp_path) in str(refused.value) and len(str(refused.value)) < 300


def test_a_table_with_such_a_cell_is_read(tmp_path):
    rows = "".join(f"{i},{i},{'[' * 100_000}\n" for i in range(1, 4))
    (tmp_path / "log.csv").write_text(f"iteration,return_mean,other\n{rows}")
    (log,) = read_logs(tmp_path / "log.csv")
    assert [row["return_mean"] for row in log.rows] == [1.0, 2.0, 3.0]
