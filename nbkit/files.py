"""Files that nbkit keeps: written whole or not at all, and never another user's."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

_LEFT_SECONDS = 3600.0
"""Age of a temporary file whose writer was killed."""


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file, whole or not at all; its directory is made, for this user only, if need be. Raises OSError."""
    import tempfile  # most processes only read

    _make_directory(path.parent)
    prefix = f".{path.name[:40]}."
    _remove_leftovers(path.parent, prefix)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_owner(about: os.stat_result, *, closed: bool = False) -> None:
    """Raise PermissionError where a file or directory is another user's; with `closed`, also where others can write."""
    if not hasattr(os, "getuid"):  # Windows
        return
    if about.st_uid != os.getuid():
        raise PermissionError("it belongs to another user")
    if closed and stat.S_IMODE(about.st_mode) & 0o022:
        raise PermissionError("others can write to it")


def is_path(text: str) -> bool:
    """Tell whether a text can be a path on this system: others raise ValueError where they are opened."""
    with suppress(UnicodeError):
        return b"\0" not in os.fsencode(text)
    return False


def make_private_directory(path: Path) -> None:
    """Make a directory for this user only. Raises PermissionError where it is another user's, or one that everybody can
    write to, and other OSErrors. Its group may: on volumes of Kubernetes it always can."""
    _make_directory(path)
    about = path.stat()
    try:
        check_owner(about)
    except PermissionError as foreign:
        raise PermissionError(f"{path}: {foreign}") from None
    if hasattr(os, "getuid") and about.st_mode & stat.S_IWOTH:
        raise PermissionError(f"{path}: everybody can write to it")


def _make_directory(path: Path) -> None:
    """Make a directory and those above it, for this user only, whatever the umask."""
    if not path.parent.exists():
        _make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def _remove_leftovers(directory: Path, prefix: str) -> None:
    """Remove the temporary files of writers that were killed."""
    for entry in os.scandir(directory):
        if entry.name.startswith(prefix) and time.time() - entry.stat(follow_symlinks=False).st_mtime > _LEFT_SECONDS:
            Path(entry.path).unlink(missing_ok=True)
