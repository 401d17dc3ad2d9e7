"""The scripts and styles of the widgets: several files of this folder make one module, or one style."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def read_script(*names: str) -> str:
    """Join scripts to one module, without indentation and lines of comment: each widget's state carries its own."""
    lines = (line.strip() for line in _read(names).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def read_style(*names: str) -> str:
    """Join styles."""
    return "\n".join(line.strip() for line in _read(names).splitlines() if line)


def _read(names: tuple[str, ...]) -> str:
    return "\n".join((_FOLDER / name).read_text("utf-8") for name in names)
