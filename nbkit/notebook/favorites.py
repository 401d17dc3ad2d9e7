"""The models that a person has starred, and those picked last: one file for all notebooks of this user."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nbkit.files import make_private_directory, write_atomically
from nbkit.settings import settings

_MOST = 12  # picked last


def read_favorites() -> dict[str, list[str]]:
    """Read the ids under "starred" and "recent"; none where the file is missing or is not ours."""
    try:
        kept = json.loads(_path().read_text("utf-8"))
        return {name: [str(one) for one in kept[name]] for name in ("starred", "recent")}
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return {"starred": [], "recent": []}


def keep_favorites(starred: Sequence[str], recent: Sequence[str]) -> str:
    """Keep both lists. Returns why it cannot, for people; "" where it can."""
    lists = {"starred": list(dict.fromkeys(starred)), "recent": list(dict.fromkeys(recent))[:_MOST]}
    try:
        make_private_directory(_path().parent)
        write_atomically(_path(), json.dumps(lists).encode())
    except OSError as problem:
        return f"favorites are not kept: {_path()}: {problem.strerror or problem}"
    return ""


def _path() -> Path:
    return settings().cache_dir / "favorites.json"
