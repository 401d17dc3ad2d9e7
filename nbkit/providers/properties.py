"""Properties of a model beside its abilities: open, Chinese, made to write what others refuse; and how its provider
treats data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from nbkit.modelsdev.snapshot import Factor, Snapshot
from nbkit.providers.tables import all_model_overrides, all_provider_defaults
from nbkit.providers.vendors import find_vendors, is_chinese


@dataclass(frozen=True, slots=True)
class ModelProperties:
    """Properties of a model; None: not known."""

    open_source: bool | None = None
    """The weights are public."""
    chinese: bool | None = None
    """The vendor is Chinese, whichever provider serves the model."""
    gdpr_compliant: bool | None = None
    """The provider offers a data processing agreement under the GDPR to every customer."""
    is_nsfw: bool = False
    """The model is made to write what other models refuse to write."""


def read_properties(open_weights: bool | None, made_by: str, rows: Iterable[Mapping[str, Any]]) -> ModelProperties:
    """Read the properties of a model: those of its record and vendor, corrected by the rows; the last row wins."""
    properties: dict[str, bool | None] = {"open_source": open_weights, "chinese": is_chinese(made_by)}
    for row in rows:
        properties |= row.get("properties", {})
    return ModelProperties(**properties)  # type: ignore[arg-type]


def find_property(snapshot: Snapshot, name: str) -> Factor:
    """Find a property of every model of a snapshot, by its field of ModelProperties; in the order of the rows."""
    defaults, providers = all_provider_defaults(), snapshot.factor("provider")
    factor = find_vendors(snapshot).map(is_chinese) if name == "chinese" else None
    listed = [defaults.get(provider.id, {}).get("properties", {}).get(name) for provider in providers.values]
    if factor is None:
        usual = getattr(ModelProperties(), name)
        factor = Factor([usual if value is None else value for value in listed], providers.codes)
    elif any(value is not None for value in listed):
        rows = zip(factor.rows, providers.codes, strict=True)
        factor = Factor.of(value if listed[code] is None else listed[code] for value, code in rows)
    values, codes = list(factor.values), list(factor.codes)
    for pattern, row in all_model_overrides():
        if name in row.get("properties", {}):
            values.append(row["properties"][name])
            literal = max(re.split(r"[*?]|\[.*?\]", pattern), key=len)  # most names do not hold it
            for place, model_id in enumerate(snapshot.ids):
                if literal in model_id and fnmatchcase(model_id, pattern):
                    codes[place] = len(values) - 1
    return Factor(values, codes)
