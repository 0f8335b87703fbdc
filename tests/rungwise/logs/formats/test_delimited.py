"""Tables of numbers: CSV files and lines of JSON."""

import pytest
from foreign_logs import read_rllib_results, write_columns, write_results
from health_runs import flat as flat_returns

from rungwise.judging.doctor import doctor
from rungwise.logs.formats import tail
from rungwise.logs.formats.delimited import DelimitedReader
from rungwise.logs.read_logs import read_logs
from rungwise.validation import InputError


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"step,return\n1,\xff\xfe\n")
    with pytest.raises(InputError, match="not a text file"):
        read_logs(tmp_path / "a.csv")


def test_rows_that_do_not_fit_end_their_log_and_no_other(tmp_path):
    write_columns(tmp_path / "a.csv", step=list(range(40)), reward=flat_returns(40, seed=2))
    for name, at in (("b", 20), ("c", 0)):
        lines = [f"{i},{i % 3}" for i in range(40)]
        lines[at:] = [f"{line},7" for line in lines[at:]]
        (tmp_path / f"{name}.csv").write_text("step,reward\n" + "\n".join(lines) + "\n")
    answer = doctor(tmp_path)
    whole, cut, refused = answer["logs"]
    assert [entry["rows"] for entry in answer["logs"]] == [40, 20, 0]
    assert whole["note"] == ""
    assert "line 22 has 3 cells" in cut["note"] and "line 2 has 3 cells" in refused["note"]
    assert "no_improvement" in whole["judged"] and "no_improvement" in cut["judged"]


def test_a_header_in_the_middle_names_the_columns_behind_it(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "step,return,entropy\n1,10,.9\n2,20,.8\nstep,entropy,return\n3,.7,30\n4,.6,40\n"
    )
    (log,) = read_logs(path)
    assert [row["return_mean"] for row in log.rows] == [10, 20, 30, 40] and not log.note
    assert [row["entropy"] for row in log.rows] == [0.9, 0.8, 0.7, 0.6]


def test_one_row_that_does_not_fit_is_left_out_with_a_note(tmp_path):
    """A program that was killed in a line and continued writes its next line behind that half."""
    lines = [f"{i},{i}" for i in range(20)]
    lines[7] = f"7,7{lines[7]}"
    (tmp_path / "a.csv").write_text("step,reward\n" + "\n".join(lines) + "\n")
    (log,) = read_logs(tmp_path / "a.csv")
    assert [row["return_mean"] for row in log.rows] == [*range(7), *range(8, 20)]
    assert log.note == f"{tmp_path}/a.csv, line 9 has 3 cells, but the header has 2. " + (
        "The line is left out."
    )


def test_one_text_among_numbers_is_left_out_and_a_column_of_text_stays(tmp_path):
    lines = [f"{i}.5,{'0' if i < 5 else 'saved'},{i}" for i in range(20)]
    lines[7] = f"7.{lines[7]}"
    (tmp_path / "a.csv").write_text("step,note,reward\n" + "\n".join(lines) + "\n")
    (log,) = read_logs(tmp_path / "a.csv")
    assert [row["return_mean"] for row in log.rows] == [*range(7), *range(8, 20)]
    assert "line 9 has '7.7.5' in the column step of numbers" in log.note


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("step,return\n1,2\n2,3\n3")
    assert len(read_logs(tmp_path / "a.csv")[0].rows) == 2
    path = write_results(tmp_path / "result.json", read_rllib_results())
    path.write_text(path.read_text()[:-40])
    assert len(read_logs(path)[0].rows) == 7


@pytest.mark.parametrize("last", ["19", "195.3", "1e", "-1", ".5"])
@pytest.mark.parametrize("reads", [1, 2])
def test_a_last_number_that_may_lack_digits_is_left_out(tmp_path, last, reads):
    path = tmp_path / "progress.csv"
    path.write_text("env_steps,return_mean\n1000,180.25\n")
    reader = DelimitedReader([path])
    rows = reader.read() if reads == 2 else []
    with path.open("a") as file:
        file.write(f"2000,{last}")
    rows += reader.read(final=True)
    assert [row.values.get("return_mean") for row in rows] == [180.25, None]
    assert rows[-1].values["env_steps"] == 2000 and f"number, {last}," in reader.left_out


@pytest.mark.parametrize("text", ["a,b\n1,2\n3,4\n", 'a,b\n1,2\n3,"4"', "a,b\n1,2\n3,yes"])
def test_a_last_value_that_is_whole_stays(tmp_path, text):
    (tmp_path / "progress.csv").write_text(text)
    reader = DelimitedReader([tmp_path / "progress.csv"])
    assert [len(row.values) for row in reader.read(final=True)] == [2, 2]
    assert not reader.left_out


def test_a_program_that_ended_by_itself_has_written_its_last_number(tmp_path, monkeypatch):
    (tmp_path / "progress.csv").write_text("a,b\n1,2\n3,4")
    monkeypatch.setattr(tail, "WHOLE_LOGS", {tmp_path})
    reader = DelimitedReader([tmp_path / "progress.csv"])
    assert [row.values["b"] for row in reader.read(final=True)] == [2, 4]
    assert not reader.left_out


def test_flags_are_no_text_among_numbers(tmp_path):
    write_columns(tmp_path / "log.csv", reward=[1, 2], is_success=[True, False])
    rows = read_logs(tmp_path)[0].rows
    assert [row["success_rate"] for row in rows] == [1.0, 0.0]


EXCEL = [("1000", "-1,5"), ("2000", "2,25"), ("3000", "3e2")]


@pytest.mark.parametrize("first", ["sep=;\n", '"sep=;"\r\n', "SEP=;\n\n"])
def test_what_excel_writes_is_read(tmp_path, first):
    path = tmp_path / "log.csv"
    path.write_text(first + "".join(f"{a};{b}\n" for a, b in [("step", "reward"), *EXCEL]))
    for place in (path, tmp_path):
        (log,) = read_logs(place)
        assert [row["return_mean"] for row in log.rows] == [-1.5, 2.25, 300.0]
        assert [row["env_steps"] for row in log.rows] == [1000, 2000, 3000]


def test_scores_of_chainerrl_are_a_table(tmp_path):
    header = "steps\tepisodes\telapsed\tmean\tmedian\tstdev\tmax\tmin\taverage_q\taverage_loss\n"
    lines = [f"{100 * i}\t{i}\t{i}.5\t{2.0 * i}\t1\t1\t2\t0\t0.5\t0.1\n" for i in range(1, 10)]
    (tmp_path / "scores.txt").write_text(header + "".join(lines))
    (log,) = read_logs(tmp_path / "scores.txt")
    assert (log.format, len(log.rows), log.rows[-1]["env_steps"]) == ("CSV", 9, 900)
