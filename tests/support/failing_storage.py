# pyright: basic
"""An object storage of which one operation fails."""

from pathlib import Path

import pyarrow as pa
from pyarrow import fs


class FailingStorage(fs.FileSystemHandler):
    """A folder as a storage, for ``fs.PyFileSystem``.

    Args:
        number: the operation that fails, counted from 1; writing to a file takes several.
    """

    def __init__(self, number):
        self.local, self.left = fs.LocalFileSystem(), number

    def count(self):
        self.left -= 1
        if self.left == 0:
            raise OSError("the network is down")

    def _do(self, name, *args, **kwargs):
        self.count()
        return getattr(self.local, name)(*args, **kwargs)

    def get_type_name(self):
        return "failing"

    def normalize_path(self, path):
        return path

    def get_file_info(self, paths):
        return self._do("get_file_info", paths)

    def get_file_info_selector(self, selector):
        return self._do("get_file_info", selector)

    def create_dir(self, path, recursive):
        self._do("create_dir", path, recursive=recursive)

    def delete_dir(self, path):
        self._do("delete_dir", path)

    def delete_dir_contents(self, path, missing_dir_ok=False):
        self._do("delete_dir_contents", path)

    def delete_root_dir_contents(self):
        raise NotImplementedError

    def delete_file(self, path):
        self._do("delete_file", path)

    def move(self, src, dest):
        self._do("move", src, dest)

    def copy_file(self, src, dest):
        self._do("copy_file", src, dest)

    def open_input_stream(self, path):
        return self._do("open_input_stream", path, compression=None)

    def open_input_file(self, path):
        return self._do("open_input_file", path)

    def open_append_stream(self, path, metadata):
        raise NotImplementedError

    def open_output_stream(self, path, metadata):
        self.count()
        return pa.PythonFile(_CountedFile(Path(path).open("wb"), self.count), mode="w")


class _CountedFile:
    """A file whose writes and whose end are counted; what fails leaves a part of it."""

    def __init__(self, file, count):
        self.file, self._count = file, count

    @property
    def closed(self):
        return self.file.closed

    def write(self, data):
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        self._count()
        self.file.write(data[len(data) // 2 :])

    def flush(self):
        self.file.flush()

    def close(self):
        if not self.closed:
            self.file.close()
            self._count()
