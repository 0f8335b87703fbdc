"""The files of a run, from nodes that need not share a disk with its driver.

A run lives in its directory on the driver's node. A node that sees the same directory reads and
writes there. From any other node, files travel through Ray, in parts, to an actor on the driver's
node. Ray Tune and trials use both as a file system of PyArrow, by the paths of the driver's node.
"""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import ray
from pyarrow import fs
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

NAMESPACE = "rungwise"
MARKER = ".driver"
"""A file in the run directory with a word by which a node knows that it sees the directory."""
LAST = ".node"
"""A file in the folder of a program with the node that filled it last."""
InfoRow: TypeAlias = tuple[str, int, int | None, float | None]
"""Path, type as PyArrow counts them, size and time of change; None where there is none."""
PART = 8 << 20
"""Bytes that travel at a time: a large checkpoint must fill no memory."""


@contextmanager
def share_run_files(directory: Path) -> Generator[fs.FileSystem]:
    """Yield the file system of a run, which any node of the Ray that is joined can use."""
    root, word = directory.absolute(), uuid.uuid4().hex
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": word, "namespace": NAMESPACE, "num_cpus": 0, "max_concurrency": 16}
    server: Any = ray.remote(DriverFiles)
    actor: Any = server.options(**options, scheduling_strategy=here).remote(str(root))
    ray.get(actor.list.remote([str(root)]))  # it is there before the first trial asks for it
    (root / MARKER).write_text(word)
    try:
        yield open_run_files(str(root), word)
    finally:
        (root / MARKER).unlink(missing_ok=True)
        ray.kill(actor)


def open_run_files(root: str, word: str) -> fs.FileSystem:
    """Return the files of a run as this node sees them: directly, or through Ray."""
    with suppress(OSError):
        if (Path(root) / MARKER).read_text() == word:
            return SharedFiles(root, word)
    return ForwardedFiles(root, word)


class SharedFiles(fs.LocalFileSystem):  # pyright: ignore[reportUntypedBaseClass]
    """The files of a run on a node that sees its directory."""

    def __init__(self, root: str, word: str) -> None:
        super().__init__()
        self.run = root, word

    def __reduce__(self) -> Any:
        return open_run_files, self.run


class ForwardedFiles(fs.PyFileSystem):  # pyright: ignore[reportUntypedBaseClass]
    """The files of a run on a node that does not see its directory."""

    def __init__(self, root: str, word: str) -> None:
        super().__init__(_Forwarder(ray.get_actor(word, NAMESPACE)))
        self.run = root, word

    def __reduce__(self) -> Any:
        return open_run_files, self.run


class FolderCopy:
    """The copy on the driver's node of a folder that a program fills on this one.

    Args:
        files: those of the run; where this node sees its directory, nothing is copied.
        folder: the folder on this node.
        there: the folder on the driver's node.
    """

    def __init__(self, files: fs.FileSystem | None, folder: Path, there: Path) -> None:
        self.files, self.folder, self.there = files, folder, there
        self.copied: dict[Path, tuple[int, int]] = {}
        """Time of change and size of each file whose copy is up to date."""
        self.node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""

    def fetch(self) -> None:
        """Copy to this node what the trial has left on the driver's, unless it was here last."""
        last = str(self.there / LAST)
        if not isinstance(self.files, ForwardedFiles) or not _is_there(self.files, last):
            return
        with self.files.open_input_stream(last) as file:
            if file.read().decode() == self.node and self.folder.exists():
                return
        shutil.rmtree(self.folder, ignore_errors=True)
        fs.copy_files(str(self.there), str(self.folder), source_filesystem=self.files)

    def update(self) -> None:
        """Copy to the driver's node what has changed on this one; delete there what is gone."""
        if not isinstance(self.files, ForwardedFiles) or not self.folder.exists():
            return
        (self.folder / LAST).write_text(self.node)
        for path in sorted(filter(Path.is_file, self.folder.rglob("*"))):
            target = self.there / path.relative_to(self.folder)
            with suppress(FileNotFoundError):  # the program has just deleted it
                state = path.stat()
                version = state.st_mtime_ns, state.st_size
                if self.copied.get(target) != version:
                    self.files.create_dir(str(target.parent), recursive=True)
                    fs.copy_files(str(path), str(target), destination_filesystem=self.files)
                    self.copied[target] = version
        for target in list(self.copied):
            if not (self.folder / target.relative_to(self.there)).exists():
                self.files.delete_file(str(target))
                del self.copied[target]


def _is_there(files: fs.FileSystem, path: str) -> bool:
    return files.get_file_info(path).type != fs.FileType.NotFound


class DriverFiles:
    """Reads and writes the files of a run for other nodes; an actor on the driver's node.

    Args:
        root: the run directory; paths outside of it are refused.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)

    def _find(self, path: str) -> Path:
        found = Path(path)
        if ".." in found.parts or not found.is_relative_to(self.root):
            raise PermissionError(f"{path} is not in the run directory {self.root}.")
        return found

    def list(self, paths: list[str]) -> list[InfoRow]:
        """Return what is known of each path."""
        rows: list[InfoRow] = []
        for path in paths:
            try:
                state, is_dir = (file := self._find(path)).stat(), file.is_dir()
            except (FileNotFoundError, NotADirectoryError):
                rows.append((path, fs.FileType.NotFound.value, None, None))
            else:
                kind = fs.FileType.Directory if is_dir else fs.FileType.File
                rows.append((path, kind.value, None if is_dir else state.st_size, state.st_mtime))
        return rows

    def list_folder(self, path: str, *, recursive: bool) -> list[InfoRow] | None:
        """Return the same of what is in a folder; None where there is none."""
        folder = self._find(path)
        if not folder.is_dir():
            return None
        return self.list(sorted(map(str, folder.rglob("*") if recursive else folder.iterdir())))

    def create_dir(self, path: str) -> None:
        """Create a folder and those above it."""
        self._find(path).mkdir(parents=True, exist_ok=True)

    def delete(self, path: str) -> None:
        """Delete a file, or a folder with what is in it."""
        found = self._find(path)
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink()

    def move(self, source: str, target: str) -> None:
        """Give a file or folder another path."""
        self._find(source).replace(self._find(target))

    def copy(self, source: str, target: str) -> None:
        """Copy a file."""
        shutil.copyfile(self._find(source), self._find(target))

    def read(self, path: str, start: int, count: int) -> bytes:
        """Return a part of a file."""
        with self._find(path).open("rb") as file:
            file.seek(start)
            return file.read(count)

    def write(self, path: str, part: bytes, *, begins: bool) -> None:
        """Append a part to a file, which the first part begins anew."""
        with self._find(path).open("wb" if begins else "ab") as file:
            file.write(part)


class _Forwarder(fs.FileSystemHandler):  # pyright: ignore[reportUntypedBaseClass]
    """Forwards what PyArrow asks a file system for to the actor on the driver's node."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Forwarder) and other.actor == self.actor

    __hash__ = None  # type: ignore[assignment]

    def _call(self, method: str, *args: object, **kwargs: object) -> Any:
        try:
            return ray.get(getattr(self.actor, method).remote(*args, **kwargs))
        except RayTaskError as error:  # PyArrow knows errors by their class
            raise error.cause if isinstance(error.cause, OSError) else error from None

    def get_type_name(self) -> str:
        return "rungwise"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return [_to_info(row) for row in self._call("list", paths)]

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        rows = self._call("list_folder", selector.base_dir, recursive=selector.recursive)
        if rows is None and not selector.allow_not_found:
            raise FileNotFoundError(selector.base_dir)
        return [_to_info(row) for row in rows or ()]

    def create_dir(self, path: str, recursive: bool) -> None:
        self._call("create_dir", path)

    def delete_dir(self, path: str) -> None:
        self._call("delete", path)

    delete_file = delete_dir

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        for info in self.get_file_info_selector(
            fs.FileSelector(path, allow_not_found=missing_dir_ok)
        ):
            self._call("delete", info.path)

    def delete_root_dir_contents(self) -> None:
        raise PermissionError("A run does not delete all files.")

    def move(self, src: str, dest: str) -> None:
        self._call("move", src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        self._call("copy", src, dest)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return pa.PythonFile(self._open(path), mode="r")

    open_input_file = open_input_stream

    def _open(self, path: str) -> io.BufferedReader:
        _, kind, size, _ = self._call("list", [path])[0]
        if kind != fs.FileType.File.value:
            raise FileNotFoundError(path)
        return io.BufferedReader(_Reader(self._call, path, size), PART)

    def open_output_stream(self, path: str, metadata: object) -> pa.NativeFile:
        self._call("write", path, b"", begins=True)
        return self.open_append_stream(path, metadata)

    def open_append_stream(self, path: str, metadata: object) -> pa.NativeFile:
        return pa.PythonFile(io.BufferedWriter(_Writer(self._call, path), PART), mode="w")


class _Reader(io.RawIOBase):
    def __init__(self, call: Any, path: str, size: int) -> None:
        self.call, self.path, self.size, self.at = call, path, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def readinto(self, buffer: Any) -> int:
        part = self.call("read", self.path, self.at, len(buffer))
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)


class _Writer(io.RawIOBase):
    def __init__(self, call: Any, path: str) -> None:
        self.call, self.path = call, path

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self.call("write", self.path, bytes(part), begins=False)
        return len(part)


def _to_info(row: InfoRow) -> fs.FileInfo:
    path, kind, size, changed = row
    return fs.FileInfo(path, fs.FileType(kind), size=size, mtime=changed)
