"""Who made a model, and the seed's path `provider/vendor/model`. The rules are those of `vendor_mappings.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from nbkit.modelsdev.records import Provider, Record
from nbkit.providers.tables import table, users


def vendor(canonical: str | None, model: str, provider: Provider) -> str:
    """The vendor of a model, by the rules of `vendor_mappings.toml`; "unknown" where they say nothing."""
    named = canonical and canonical.partition("/")[0]
    return users_vendor(model, users("vendors")) or named or inferred(model, provider)


def users_vendor(model: str, patterns: Mapping[str, Any]) -> str | None:
    """The vendor by the user's own patterns, if one of them fits."""
    name = model.rpartition("/")[2].lower()
    fits = (made_by for pattern, made_by in patterns.items() if re.search(rf"(?<![a-z])(?:{pattern})", name, re.I))
    return next(fits, None)


def inferred(model: str, provider: Provider) -> str:
    """The vendor of a model that models.dev does not name."""
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
    groups = (f"(?:{pattern})(?P<v{number}>)" for number, pattern in enumerate(patterns))  # a third of the time
    return re.compile(f"(?<![a-z])(?:{'|'.join(groups)})")


def is_chinese(made_by: str) -> bool | None:
    """Whether a vendor is one of China; None where the vendor is not known."""
    return None if made_by == "unknown" else made_by in table("vendor_mappings")["countries"]["china"]


def path_of(provider: str, made_by: str, model: str) -> str:
    """`provider/vendor/model`; a vendor that the model's id begins with already is not repeated."""
    return f"{provider}/{model}" if model.startswith(f"{made_by}/") else f"{provider}/{made_by}/{model}"


def record_path(record: Record) -> str:
    """The path of a record."""
    return path_of(record.provider.id, vendor(record.canonical, record.model, record.provider), record.model)
