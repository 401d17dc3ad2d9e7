"""The name under which nbkit is installed: that of the import is another project's on PyPI."""

from __future__ import annotations

from importlib.metadata import entry_points

_NAME = "nbkit-llm"  # in pyproject.toml; for a copy that runs without being installed


def name_distribution() -> str:
    """Return the name of the distribution that brought nbkit, from its metadata."""
    commands = entry_points(group="console_scripts", name="nbkit")
    own = (point.dist.name for point in commands if point.dist and point.module.partition(".")[0] == "nbkit")
    return next(own, _NAME)


def name_extra(extra: str) -> str:
    """Return the command that installs what an extra needs: `pip install 'nbkit-llm[nest]'`."""
    return f"pip install '{name_distribution()}[{extra}]'"
