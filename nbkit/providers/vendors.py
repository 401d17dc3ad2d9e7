"""The vendor of a model, who made it, by the rules of `vendor_mappings.toml`; and the path `provider/vendor/model`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from nbkit.modelsdev.records import Provider, Record
from nbkit.modelsdev.snapshot import Factor, Snapshot
from nbkit.providers.tables import table, user_rows


def vendor(canonical: str | None, model: str, provider: Provider) -> str:
    """Find the vendor of a model: by the user's patterns, by models.dev's `canonical` name, or from its own name.

    "unknown" where none of them says anything.
    """
    named = canonical and canonical.partition("/")[0]
    return match_vendor(model, user_rows("vendors")) or named or infer_vendor(model, provider)


def match_vendor(model: str, patterns: Mapping[str, Any]) -> str | None:
    """Find the vendor by the user's patterns; None where none of them matches."""
    name = model.rpartition("/")[2].lower()
    matches = (made_by for pattern, made_by in patterns.items() if re.search(rf"(?<![a-z])(?:{pattern})", name, re.I))
    return next(matches, None)


def infer_vendor(model: str, provider: Provider) -> str:
    """Infer the vendor from the model's name, or from a provider that serves only what it made; else "unknown"."""
    return _infer(model.lower().lstrip("~")) or table("vendor_mappings")["providers"].get(provider.id, "unknown")


@cache
def _infer(model: str) -> str | None:
    rules = table("vendor_mappings")
    prefix, slash, _ = model.partition("/")
    if slash and (vendor := rules["spelling"].get(prefix)):
        return str(vendor)
    if vendor := _match_shipped(model.rpartition("/")[2]):
        return vendor
    return prefix if slash and prefix not in rules["hosts"]["names"] else None


@cache
def _match_shipped(name: str) -> str | None:
    """Find the vendor by nbkit's patterns; hosts put many things before the same name."""
    match = _pattern().search(name)
    return (
        str(list(table("vendor_mappings")["patterns"].values())[int((match.lastgroup or "v0")[1:])]) if match else None
    )


@cache
def _pattern() -> re.Pattern[str]:
    """All patterns as one; the name of the group that matches tells which."""
    patterns: dict[str, str] = table("vendor_mappings")["patterns"]
    groups = (f"(?:{pattern})(?P<v{number}>)" for number, pattern in enumerate(patterns))  # a third of the time
    return re.compile(f"(?<![a-z])(?:{'|'.join(groups)})")


def find_vendors(snapshot: Snapshot) -> Factor:
    """Find the vendor of every model of a snapshot: the same as `vendor` for each."""
    patterns = user_rows("vendors")
    return _find_vendors(snapshot, tuple(patterns.items()))


@lru_cache(2)
def _find_vendors(snapshot: Snapshot, patterns: tuple[tuple[str, str], ...]) -> Factor:
    canonical, providers = snapshot.factor("canonical"), snapshot.factor("provider")
    named = [name and name.partition("/")[0] for name in canonical.values]
    rows = zip(canonical.codes, snapshot.values("model"), providers.codes, strict=True)
    if patterns:
        own = dict(patterns)
        vendors = [
            match_vendor(model, own) or named[code] or infer_vendor(model, providers.values[host])
            for code, model, host in rows
        ]
    else:
        vendors = [named[code] or infer_vendor(model, providers.values[host]) for code, model, host in rows]
    positions = {vendor: position for position, vendor in enumerate(dict.fromkeys(vendors))}
    return Factor(list(positions), [positions[vendor] for vendor in vendors])


def name_vendor(made_by: str) -> str:
    """Name a vendor as people do: "Moonshot AI" for moonshotai."""
    named: str | None = table("vendor_mappings")["names"].get(made_by)
    return named or " ".join(word[:1].upper() + word[1:] for word in made_by.split("-"))


def is_chinese(made_by: str) -> bool | None:
    """Tell whether a vendor is a Chinese one; None where the tables do not say where it is."""
    countries = table("vendor_mappings")["countries"]
    return True if made_by in countries["china"] else False if made_by in countries["elsewhere"] else None


def path_of(provider: str, made_by: str, model: str) -> str:
    """Build `provider/vendor/model`; a vendor that the model's name already begins with is not repeated."""
    return f"{provider}/{model}" if model.startswith(f"{made_by}/") else f"{provider}/{made_by}/{model}"


def record_path(record: Record) -> str:
    """Build the path of a record."""
    return path_of(record.provider.id, vendor(record.canonical, record.model, record.provider), record.model)
