"""Who made a model, and the seed's path `provider/vendor/model`. The rules are those of `vendor_mappings.toml`."""

from __future__ import annotations

import re
from functools import cache

from nbkit.modelsdev.records import Provider, Record
from nbkit.providers.tables import table


def vendor(canonical: str | None, model: str, provider: Provider) -> str:
    """The vendor of a model: models.dev's word, else what the id's first part or its name tells, else the host's."""
    if canonical:
        return canonical.partition("/")[0]
    return _inferred(model.lower().lstrip("~")) or table("vendor_mappings")["providers"].get(provider.id, "unknown")


@cache
def _inferred(model: str) -> str | None:
    rules = table("vendor_mappings")
    prefix, slash, _ = model.partition("/")
    if slash and (spelled := rules["spelling"].get(prefix)):
        return str(spelled)
    if found := _matcher().search(model.rpartition("/")[2]):
        return str(list(rules["patterns"].values())[int((found.lastgroup or "v0")[1:])])
    return prefix if slash and prefix not in rules["hosts"]["names"] else None


@cache
def _matcher() -> re.Pattern[str]:
    patterns: dict[str, str] = table("vendor_mappings")["patterns"]
    groups = (f"(?P<v{number}>{pattern})" for number, pattern in enumerate(patterns))
    return re.compile(f"(?<![a-z])(?:{'|'.join(groups)})")


def path_of(provider: str, made_by: str, model: str) -> str:
    """`provider/vendor/model`; a vendor that the model's id begins with already is not repeated."""
    return f"{provider}/{model}" if model.startswith(f"{made_by}/") else f"{provider}/{made_by}/{model}"


def record_path(record: Record) -> str:
    """The path of a record."""
    return path_of(record.provider.id, vendor(record.canonical, record.model, record.provider), record.model)
