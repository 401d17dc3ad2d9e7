"""Files that nbkit keeps: written whole or not at all, and never another user's."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file, whole or not at all; its directory is made, for this user only, if need be. Raises OSError."""
    import tempfile  # most processes only read

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
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


def make_private_directory(path: Path) -> None:
    """Make a directory for this user only. Raises PermissionError where it is another user's, and other OSErrors."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        check_owner(path.stat())
    except PermissionError as foreign:
        raise PermissionError(f"{path}: {foreign}") from None
