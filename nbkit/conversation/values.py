"""How values answer wrong arguments: in one sentence of nbkit, not in pydantic's several lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from nbkit.arguments import describe, is_table
from nbkit.errors import ConfigError, ConversationError, NbkitError


def explain(invalid: ValidationError) -> str:
    """Say in one sentence what is wrong first: the field, what was expected, what was given."""
    problem = invalid.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    text = problem["msg"].removeprefix("Value error, ")
    return f"{where + ': ' if where else ''}{text}{describe_input(problem)}"


def describe_input(problem: Any) -> str:
    """Describe the value that was given; "" where the message says it or where there is none."""
    return "" if problem["type"] in ("value_error", "missing") else f", got {describe(problem['input'])}"


def fill(value: BaseModel, fields: dict[str, Any], given: set[str]) -> None:
    """Give a new value all its fields, as `model_construct` does: only for what validation would leave as it is."""
    _set(value, "__dict__", fields)
    _set(value, "__pydantic_fields_set__", given)
    _set(value, "__pydantic_extra__", None)
    _set(value, "__pydantic_private__", None)


_set = object.__setattr__


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


_NO_TABLES = frozenset((str, int, float, bool, type(None), list, tuple, dict))


def refuse_tables(name: str, arguments: dict[str, Any], raises: type[NbkitError] = ConfigError) -> None:
    """Raise for an argument that is a DataFrame, a Series or pandas' NA: pydantic reads the names of columns as a list,
    and what compares them fails.
    """
    for argument, value in arguments.items():
        if type(value) not in _NO_TABLES and is_table(value):
            text = f"{argument}: expected plain values (text, numbers, lists), got {describe(value)}"
            raise raises(f"{name}{text}")


class OneSentence(ModelMetaclass):
    """Metaclass of values that raise ConversationError for wrong arguments, as `Turn(role=5)`."""

    raises: type[NbkitError] = ConversationError

    if not TYPE_CHECKING:  # or type checkers take every value for Any
        # Pydantic's asks the registry of abstract classes too, in which no value stands; it takes ten times as long.
        __instancecheck__ = type.__instancecheck__

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            """Make a value."""
            refuse_tables(f"{cls.__name__}: ", kwargs, cls.raises)
            try:
                return super().__call__(*args, **kwargs)
            except ValidationError as invalid:
                problem = explain(invalid)
            raise cls.raises(f"{cls.__name__}: {problem}")


class OneConfigSentence(OneSentence):
    """Metaclass of values that raise ConfigError for wrong arguments, as `Tool(name=5)`."""

    raises = ConfigError
