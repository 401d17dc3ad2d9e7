"""Base of the frozen values of a conversation: how they are read and written, and how they answer wrong arguments."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from msgspec import Struct, StructMeta, ValidationError, convert
from msgspec.structs import replace

from nbkit.arguments import describe, is_table
from nbkit.conversation.problems import explain
from nbkit.errors import ConfigError, ConversationError, NbkitError
from nbkit.json_text import DEEPEST, read_json, write_json
from nbkit.secret import SecretHeaders

_NO_TABLES = frozenset((str, int, float, bool, type(None), list, tuple, dict))


def refuse_tables(name: str, arguments: dict[str, Any], raises: type[NbkitError] = ConfigError) -> None:
    """Raise for an argument that is a DataFrame, a Series or pandas' NA: its columns would be read as a list, and what
    compares them fails.
    """
    for argument, value in arguments.items():
        if type(value) not in _NO_TABLES and is_table(value):
            text = f"{argument}: expected plain values (text, numbers, lists), got {describe(value)}"
            raise raises(f"{name}{text}")


class _Reader(StructMeta):
    """Metaclass of the values: a call reads its arguments, so that `Turn(role=5)` is an error in one sentence."""

    if not TYPE_CHECKING:  # or type checkers take every value for Any

        def __call__(cls, *args: Any, **fields: Any) -> Any:
            """Make a value."""
            return cls._make(*args, **fields)


new: Any = StructMeta.__call__
"""Makes a value of a class and its fields that are known to be right: nothing is read, nothing is checked."""


class Value(Struct, metaclass=_Reader, frozen=True, kw_only=True, forbid_unknown_fields=True, weakref=True):
    """Base of frozen values; an unknown key is an error.

    The methods have the names that pydantic's models have, so that what takes the one takes the other.
    """

    _raises: ClassVar[type[NbkitError]] = ConversationError
    _strict: ClassVar[bool] = True
    """Whether numbers that are written as text are refused."""

    @classmethod
    def _make(cls, /, *args: Any, **fields: Any) -> Self:
        if args:
            names = ", ".join(f"{name}=..." for name in cls.__struct_fields__[:2])
            raise cls._raises(f"{cls.__name__}: its fields are given by their names: {cls.__name__}({names})")
        refuse_tables(f"{cls.__name__}: ", fields, cls._raises)
        return cls.model_validate(fields)

    @classmethod
    def read(cls, data: Any) -> Self:
        """Read a dict, or a value. Raises ValueError, which says in one sentence what is wrong first."""
        prepared = cls._prepare(data) if isinstance(data, dict) else data
        value: Self = read_as(cls, prepared, strict=cls._strict, given=data)
        return value

    @classmethod
    def _prepare(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Give the fields, and the values in them, the form that is read."""
        return data

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """Read a dict. Raises ConversationError (of options and tools, ConfigError)."""
        try:
            return cls.read(data)
        except ValueError as invalid:
            problem = str(invalid)
        raise cls._raises(f"{cls.__name__}: {problem}")

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        """Read JSON. Raises ConversationError (of options and tools, ConfigError)."""
        try:
            data = read_json(text)
        except ValueError as invalid:
            problem = str(invalid).removeprefix("JSON is malformed: ")
        else:
            return cls.model_validate(data)
        raise cls._raises(f"{cls.__name__}: not JSON: {problem[0].lower()}{problem[1:]}")

    def model_dump(self) -> dict[str, Any]:
        """Write a dict, which `model_validate` reads again."""
        return {name: to_plain(getattr(self, name)) for name in self.__struct_fields__}

    def model_dump_json(self) -> str:
        """Write JSON, which `model_validate_json` reads again."""
        return write_json(self.model_dump()).decode()

    def model_copy(self, *, update: dict[str, Any] | None = None) -> Self:
        """Return a copy with other values of some fields, which are not checked."""
        return replace(self, **update or {})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Be a field of somebody's pydantic model."""
        from pydantic_core import core_schema  # only pydantic calls this

        write = core_schema.plain_serializer_function_ser_schema(lambda value: value.model_dump())
        return core_schema.no_info_plain_validator_function(cls.read, serialization=write)


def to_plain(value: Any) -> Any:
    """Write a value, a Struct, or a list of them as plain data; anything else as it is."""
    if isinstance(value, Value):
        return value.model_dump()
    if isinstance(value, Struct):
        return {name: to_plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return {name: to_plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def read_as(kind: Any, data: Any, *, strict: bool = True, given: Any = None) -> Any:
    """Read plain data as a type. Raises ValueError, which says in one sentence what is wrong first.

    `given` is what the data were prepared from: the error names places as they stand there.
    """
    data = _to_own_types(data)
    try:
        return convert(data, kind, strict=strict)
    except ValidationError as invalid:
        problem = explain(invalid, data, kind, given, strict=strict)
    raise ValueError(problem)


_OWN = frozenset((str, int, float, bool, type(None)))


def _to_own_types(value: Any, depth: int = 0) -> Any:
    """Give texts, numbers and lists Python's own types, where they are numpy's, an Enum's or another subclass."""
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    kind = type(value)
    if kind in _OWN or isinstance(value, Struct):
        return value
    if kind.__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "shape", ()):
        return value.item()
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dict):
        items = {name: _to_own_types(item, depth + 1) for name, item in value.items()}
        return SecretHeaders(items) if kind is SecretHeaders else items  # a traceback may print it
    if isinstance(value, list | tuple | deque | Iterator):
        return [_to_own_types(item, depth + 1) for item in value]
    return value
