"""Opens an export by its path."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.client.transfer.folder_source import FolderSource
from services.client.transfer.sources import Source
from services.client.transfer.zip_source import ZipSource


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Yields the export in a folder or a ZIP archive. Raises BrokenExport, OSError."""
    if path.is_dir():
        yield FolderSource(path)
    else:
        with ZipSource(path) as archive:
            yield archive
