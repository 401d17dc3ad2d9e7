"""Capabilities of a model and limits of its options, from models.dev's flags and the rows of this room's tables.

The flags `supports_*` begin with those of the seed of this design; further ones are about what else providers refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct, field
from msgspec.structs import force_setattr

from nbkit.modelsdev.records import Record


class ModelCapabilities(Struct, frozen=True):
    """Capabilities of a model. A model that the catalog does not list is assumed to do all that its protocol can."""

    supports_streaming: bool = True
    supports_vision: bool = False
    supports_pdf: bool = False
    supports_audio: bool = False
    supports_image_urls: bool = True
    """Reads images by their URL; otherwise they are fetched and sent as data."""
    supports_tools: bool = False
    supports_tool_choice: bool = False
    supports_tool_choice_required: bool = False
    """Can be forced to call a tool of its choice."""
    supports_tool_choice_named: bool = False
    """Can be forced to call a certain tool."""
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
    supports_last_system: bool = True
    """A system turn at the end."""
    supports_only_system: bool = True
    supports_repeating_roles: bool = True
    supports_empty_content: bool = True
    supports_empty_output: bool = True
    """A tool's output may be empty."""
    supports_null_content: bool = True
    """Content may be null beside tool calls; otherwise it is an empty text."""
    supports_cache_marks: bool = True
    """`cache_control` in the parts of a message's content."""
    supports_blank_stop: bool = True
    """Stop sequences of nothing but white space."""
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

    def list_missing(self) -> frozenset[str]:
        """List the capabilities that the model does not have, without `supports_`."""
        return _list_missing(self)


@lru_cache(1000)  # each call asks its model's
def _list_missing(capabilities: ModelCapabilities) -> frozenset[str]:
    names = capabilities.__struct_fields__
    return frozenset(name.removeprefix("supports_") for name in names if not getattr(capabilities, name))


class ReasoningControl(Struct, frozen=True):
    """How the amount of a model's reasoning is controlled."""

    kinds: tuple[str, ...] = ("effort",)
    """By which options: `effort`, `budget`, both or neither."""
    efforts: tuple[str, ...] = ()
    """The efforts that the model accepts; empty: not known which."""
    can_disable: bool = True
    """Reasoning can be switched off."""
    substitutes: Mapping[str, str] = field(default_factory=dict)
    """For an effort that the model does not accept, the one to send."""
    min_budget: int | None = None
    """Tokens of the smallest budget; None: not known."""
    max_budget: int | None = None
    """Tokens of the largest budget; None: not known."""


class Tolerance(Struct, frozen=True):
    """Requests that a model accepts: its capabilities, and the limits of its options."""

    capabilities: ModelCapabilities = ModelCapabilities()
    reasoning: ReasoningControl | None = ReasoningControl()
    """None: the model does not reason."""
    max_output: int | None = None
    """Most tokens of one answer; None: not known."""
    temperature_max: float | None = None
    """The largest temperature; None: not known."""
    temperature_scale: float = 1.0
    """The factor from a temperature on OpenAI's scale, 0 to 2, to one on the model's."""
    context: int | None = None
    """Tokens of the model's context, prompt and answer together; None: not known."""
    stop_max: int | None = None
    """Most stop sequences; None: not known."""
    tool_names: str = ""
    """Regular expression of the names that tools may have; "": any."""
    call_ids: str = ""
    """Regular expression of the ids that tool calls may have; "": any."""
    media_types: frozenset[str] = frozenset()
    """The media types that are read; of a kind (image, audio ...) of which none is named, all are."""
    budget_min: int | None = None
    """The smallest budget of reasoning, in tokens; None: not known."""
    budget_apart: bool = False
    """A budget of reasoning is not a part of `max_tokens`."""
    schema_drop: frozenset[str] = frozenset()
    """Keywords of JSON schema that the model refuses in the schemas of tools and answers."""
    schema_top_drop: frozenset[str] = frozenset()
    """Keywords of JSON schema that the model refuses at the top level of a tool's schema."""
    drop: frozenset[str] = frozenset()
    """Options that the model refuses or ignores; `strict` is that of a tool."""
    lacks: frozenset[str] = frozenset()
    """The capabilities that are missing: each call of the model asks for them."""

    def __post_init__(self) -> None:
        force_setattr(self, "lacks", self.capabilities.list_missing())


_READS = ("vision", "pdf", "audio")
_LIMITS = (
    "max_output",
    "temperature_max",
    "temperature_scale",
    "stop_max",
    "tool_names",
    "call_ids",
    "budget_min",
    "budget_apart",
)
_TOOLS = ("tools", "tool_choice", "tool_choice_required", "tool_choice_named")


def capabilities_of(record: Record | None, rows: Iterable[Mapping[str, Any]] = ()) -> ModelCapabilities:
    """Work out the capabilities: those of models.dev's record, corrected by the rows, of which the last one wins."""
    if record is None:
        flags = {f"supports_{name}": True for name in (*_READS, *_TOOLS)}
    else:
        flags = {
            "supports_vision": "image" in record.inputs,
            "supports_pdf": "pdf" in record.inputs,
            "supports_audio": "audio" in record.inputs,
            "supports_temperature": record.temperature is not False,
            "supports_json_schema": record.structured_output is not False,
        } | {f"supports_{name}": record.tools for name in _TOOLS}
    unsure = record is None or record.structured_output is None
    for row in rows:
        if unsure and "json_schema" in row.get("assume", {}):
            flags["supports_json_schema"] = row["assume"]["json_schema"]
        corrections = row.get("capabilities", {})
        if "tools" in corrections:
            flags |= {f"supports_{name}": corrections["tools"] for name in _TOOLS}
        flags |= {f"supports_{name}": value for name, value in corrections.items()}
    flags["supports_tool_choice_named"] &= flags["supports_tool_choice_required"]
    return ModelCapabilities(**flags)


def tolerance_of(record: Record | None, rows: Iterable[Mapping[str, Any]]) -> Tolerance:
    """Work out what a model accepts, from its record and the rows about its protocol, its provider and itself."""
    rows = list(rows)
    drop: set[str] = set()
    schema_drop: set[str] = set()
    schema_top_drop: frozenset[str] = frozenset()
    media_types: set[str] = set()
    limits: dict[str, Any] = {"max_output": record.max_output, "context": record.context} if record else {}
    for row in rows:
        drop = (drop | set(row.get("drop", ()))) - set(row.get("take", ()))
        schema_drop |= set(row.get("schema_drop", ()))
        media_types |= set(row.get("media_types", ()))
        limits |= {name: row[name] for name in _LIMITS if name in row}
        schema_top_drop = frozenset(row.get("schema_top_drop", schema_top_drop))
    return Tolerance(
        capabilities=capabilities_of(record, rows),
        reasoning=_reasoning_control(record, rows),
        schema_drop=frozenset(schema_drop),
        schema_top_drop=schema_top_drop,
        drop=frozenset(drop),
        media_types=frozenset(media_types),
        **limits,
    )


def _reasoning_control(record: Record | None, rows: list[Mapping[str, Any]]) -> ReasoningControl | None:
    """Combine models.dev's `reasoning_options` with the rows; None where the record's model does not reason."""
    if record is not None and not record.reasoning:
        return None
    options = {str(option.get("type")): option for option in (record.reasoning_options if record else ())}
    kinds: tuple[str, ...] = ("effort",)
    substitutes: dict[str, str] = {}
    for row in rows:
        kinds = tuple(row.get("reasoning", kinds))
        substitutes |= row.get("efforts", {})
    listed = tuple(kind for kind, name in (("effort", "effort"), ("budget", "budget_tokens")) if name in options)
    # The protocol's row, the first one, says what is possible; a provider's or a model's says what is so.
    if record and kinds and not any("reasoning" in row for row in rows[1:]):
        kinds = tuple(kind for kind in kinds if kind in listed) or listed[:1]
    budget = options.get("budget_tokens", {})
    efforts = tuple(value for value in options.get("effort", {}).get("values") or () if isinstance(value, str))
    can_disable = not record or "toggle" in options or "none" in efforts or budget.get("min") == 0
    return ReasoningControl(kinds, efforts, can_disable, substitutes, budget.get("min"), budget.get("max"))
