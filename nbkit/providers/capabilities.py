"""What a model can do and tolerates: models.dev's flags, then the tables of this room, the more particular the later.

The seed of this design has a list of flags, `supports_*`; those that came later are about what else providers refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from nbkit.modelsdev.records import Record


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """What a model can do. Of a model that the catalog does not know, everything is assumed that its protocol can."""

    supports_streaming: bool = True
    supports_vision: bool = False
    supports_pdf: bool = False
    supports_audio: bool = False
    supports_image_urls: bool = True
    """Reads images by their address; otherwise they are fetched and sent as data."""
    supports_tools: bool = False
    supports_tool_choice: bool = False
    supports_tool_choice_required: bool = False
    """Can be made to call some tool."""
    supports_tool_choice_named: bool = False
    """Can be told which tool to call."""
    supports_temperature: bool = True
    supports_n: bool = True
    """Several answers to one prompt."""
    supports_json_output: bool = True
    """`response_format` of type json_object."""
    supports_json_schema: bool = True
    """`response_format` of type json_schema."""
    supports_json_with_tools: bool = True
    """`response_format` beside tools."""
    supports_json_streaming: bool = True
    """`response_format` in a stream."""
    supports_json_content: bool = True
    """A message's content may be a list of entries, or null."""
    supports_user: bool = True
    """The option `user`."""
    supports_system: bool = True
    supports_multiple_system: bool = True
    supports_later_system: bool = True
    """System turns that are not at the beginning."""
    supports_only_system: bool = True
    supports_repeating_roles: bool = True
    supports_empty_content: bool = True
    supports_empty_output: bool = True
    """A tool's output may be empty."""
    supports_first_assistant: bool = True
    supports_last_assistant: bool = True
    supports_only_assistant: bool = True
    supports_trailing_space: bool = True
    """White space at the end of a last turn of the assistant."""
    supports_output_media: bool = True
    """A tool's output may hold images and documents."""
    supports_parallel_calls: bool = True
    """An earlier turn may hold several tool calls."""
    supports_user_after_tool: bool = True
    """A user's turn right after a tool's output."""

    def lacks(self) -> frozenset[str]:
        """The names, without `supports_`, of what it cannot."""
        return frozenset(name.removeprefix("supports_") for name, can in asdict(self).items() if not can)


@dataclass(frozen=True, slots=True)
class ReasoningControl:
    """How much a model can be told to think."""

    kinds: tuple[str, ...] = ("effort",)
    """`effort`, `budget`, both or neither."""
    efforts: tuple[str, ...] = ()
    """The efforts that it knows; none: not known which."""
    can_stop: bool = True
    """It can be told not to think."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """For an effort that it does not know, the one to send."""
    least: int | None = None
    """Tokens of the smallest budget, and the largest."""
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a model takes of what is asked: its capabilities, and the limits of its options."""

    capabilities: ModelCapabilities = ModelCapabilities()
    reasoning: ReasoningControl | None = ReasoningControl()
    """None: it does not reason."""
    max_output: int | None = None
    """Most tokens of one answer."""
    temperature_max: float | None = None
    temperature_scale: float = 1.0
    """What a temperature on OpenAI's scale is multiplied with."""
    schema_drop: frozenset[str] = frozenset()
    """Keywords of JSON schema that are refused in the schemas of tools and answers."""
    drop: frozenset[str] = frozenset()
    """Options that are refused or ignored; `strict` is that of a tool."""


_READS = ("vision", "pdf", "audio")
_OF_TOOLS = ("tools", "tool_choice", "tool_choice_required", "tool_choice_named")


def capabilities_of(record: Record | None, rows: Iterable[Mapping[str, Any]] = ()) -> ModelCapabilities:
    """The capabilities by models.dev's record, corrected by the `capabilities` of the rows, the last one winning."""
    if record is None:
        flags = {f"supports_{name}": True for name in (*_READS, *_OF_TOOLS)}
    else:
        flags = {
            "supports_vision": "image" in record.inputs,
            "supports_pdf": "pdf" in record.inputs,
            "supports_audio": "audio" in record.inputs,
            "supports_temperature": record.temperature is not False,
            "supports_json_schema": record.structured_output is not False,
        } | {f"supports_{name}": record.tools for name in _OF_TOOLS}
    for row in rows:
        said = row.get("capabilities", {})
        if "tools" in said:
            flags |= {f"supports_{name}": said["tools"] for name in _OF_TOOLS}
        flags |= {f"supports_{name}": value for name, value in said.items()}
    flags["supports_tool_choice_named"] &= flags["supports_tool_choice_required"]
    return replace(ModelCapabilities(), **flags)


def tolerance_of(record: Record | None, rows: Iterable[Mapping[str, Any]]) -> Tolerance:
    """What a model takes, by its record and the rows for its protocol, its provider and itself."""
    rows = list(rows)
    drop: set[str] = set()
    schema_drop: set[str] = set()
    limits: dict[str, Any] = {"max_output": record.max_output if record else None}
    for row in rows:
        drop = (drop | set(row.get("drop", ()))) - set(row.get("take", ()))
        schema_drop |= set(row.get("schema_drop", ()))
        limits |= {name: row[name] for name in ("max_output", "temperature_max", "temperature_scale") if name in row}
    return Tolerance(
        capabilities=capabilities_of(record, rows),
        reasoning=_reasoning(record, rows),
        schema_drop=frozenset(schema_drop),
        drop=frozenset(drop),
        **limits,
    )


def _reasoning(record: Record | None, rows: list[Mapping[str, Any]]) -> ReasoningControl | None:
    """models.dev's `reasoning_options` and what the rows say; None where models.dev says that it does not reason."""
    if record is not None and not record.reasoning:
        return None
    told = {str(option.get("type")): option for option in (record.reasoning_options if record else ())}
    kinds: tuple[str, ...] = ("effort",)
    instead: dict[str, str] = {}
    for row in rows:
        kinds = tuple(row.get("reasoning", kinds))
        instead |= row.get("efforts", {})
    known = tuple(kind for kind, name in (("effort", "effort"), ("budget", "budget_tokens")) if name in told)
    if record and not any("reasoning" in row for row in rows[1:]):  # the protocol's row is a guess, the others know
        kinds = tuple(kind for kind in kinds if kind in known) or known[:1]
    budget = told.get("budget_tokens", {})
    efforts = tuple(value for value in told.get("effort", {}).get("values") or () if isinstance(value, str))
    can_stop = not record or "toggle" in told or "none" in efforts or budget.get("min") == 0
    return ReasoningControl(kinds, efforts, can_stop, instead, budget.get("min"), budget.get("max"))
