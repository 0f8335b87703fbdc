"""Physical formats of logs: one file for each, read in pieces while it grows.

A format is a class with the protocol of :class:`LogReader`:

* ``recognises(path)``: whether a file has the format, by its name and then by its content;
* ``open_all(files, rename, directory)``: a reader for each run of files in one directory;
* ``read(final=False)``: the records that were added since the last call, one for each iteration.
  No byte is read twice (except a table's header, to notice a table that was written again with
  more columns), a half-written line waits, a file that was truncated or replaced is read from its
  start, a header that comes again is no row, and files of the run that appear later are read, too.
  One call reads at most ``limit`` bytes; ``behind`` says that there is more, so that the next call
  need not wait. ``read(final=True)`` reads what is left and holds nothing back: for a finished log
  it is the only call, for one that was followed the last;
* ``damage``: why nothing more is read, in a sentence; empty while the log is sound.

To add a format, write a file with its class and add it to ``FORMATS``. ``find_readers`` opens the
logs at a path, ``translate_log`` turns records into rows of the catalogue.
"""

from rungwise.logs.formats.console import ConsoleReader
from rungwise.logs.formats.delimited import DelimitedReader, TuneTableReader
from rungwise.logs.formats.document import EvaluationsReader
from rungwise.logs.formats.json_document import JsonDocumentReader
from rungwise.logs.formats.json_lines import JsonLinesReader, TuneResultsReader
from rungwise.logs.formats.log_reader import LogReader
from rungwise.logs.formats.mlflow_runs import MlflowDatabaseReader, MlflowFolderReader
from rungwise.logs.formats.monitors import MonitorReader
from rungwise.logs.formats.point_files import D3rlpyReader, ScalarFolderReader
from rungwise.logs.formats.printed_blocks import PrintedBlocksReader
from rungwise.logs.formats.sb3_table import SB3TableReader
from rungwise.logs.formats.tensorboard import TensorBoardReader
from rungwise.logs.formats.tensorboard_export import TensorBoardExportReader
from rungwise.logs.formats.trainer_state import TrainerStateReader
from rungwise.logs.formats.wandb_offline import WandbReader

FORMATS: tuple[type[LogReader], ...] = (
    TuneResultsReader,
    TuneTableReader,
    SB3TableReader,
    TensorBoardReader,
    MonitorReader,
    TrainerStateReader,
    ScalarFolderReader,
    D3rlpyReader,
    TensorBoardExportReader,
    DelimitedReader,
    WandbReader,
    MlflowFolderReader,
    MlflowDatabaseReader,
    JsonDocumentReader,
    JsonLinesReader,
    PrintedBlocksReader,
    ConsoleReader,
    EvaluationsReader,
)
"""The formats by preference: several in one directory are of the same run, and the first is read; a
file has the first format that recognises it."""

__all__ = ["FORMATS", "LogReader"]
