"""Arguments of public functions: read where their meaning is clear, else refused in one sentence.

    @check_arguments
    def search(text: str, frame: pd.DataFrame | None = None, limit: int | None = 50) -> pd.DataFrame: ...

The annotations say what is expected. `1e6` is a whole number, a row of the catalog is a frame of one row, one name is a
list of one. ArgumentError says which argument is wrong, what was expected and what was given; nothing is sent then.
Annotations that `_READERS` does not have are left to the function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache, wraps
from inspect import Parameter, Signature, signature
from math import isnan
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar

from nbkit.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

P = ParamSpec("P")
T = TypeVar("T")
MODEL = "a model id such as 'openai/gpt-6-luna'"

_MOST = 40  # characters of a value in a message
_MOST_ROWS = 32
"""Models of a frame that are asked at once: a whole catalog in the place of a few rows would cost a fortune."""


def check_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Read the arguments of each call as their annotations say. Not for functions that are given a key.

    A traceback shows the values of a frame, and here all arguments are values of one more frame. The function's module
    begins with `from __future__ import annotations`.
    """
    checked = signature(function)
    name = function.__qualname__.removesuffix(".__init__")
    parameters = {
        parameter.name: (str(parameter.annotation), parameter.default)
        for parameter in checked.parameters.values()
        if parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    }

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            given = checked.bind(*args, **kwargs)
        except TypeError as wrong:
            problem = f"{name}(): {_explain_call(wrong, checked, kwargs)}"
        else:
            problem = ""
        if problem:
            raise ArgumentError(problem)
        for parameter, value in given.arguments.items():
            annotation, default = parameters.get(parameter, ("", None))
            if value is not default:
                given.arguments[parameter] = _read(value, annotation, f"{name}(): {parameter}", function.__globals__)
        return function(*given.args, **given.kwargs)

    return call


def _explain_call(wrong: TypeError, checked: Signature, names: Iterable[str]) -> str:
    """Say what is wrong with the arguments of a call, and which name was likely meant."""
    known = [name for name, one in checked.parameters.items() if one.kind is not Parameter.POSITIONAL_ONLY]
    for name in names:
        if name not in known:
            return f"unknown argument {name!r}" + (
                suggest(name, known, listed=True) or f"; it takes {', '.join(known)}"
            )
    return str(wrong)


def describe(value: Any) -> str:
    """Say in a few words what a value is: "None", "5", "a list of 3 values", "a DataFrame of 8,337 rows"."""
    if value is None or isinstance(value, bool | float) or (type(value) is int and abs(value) < 1e15):
        return repr(value)
    if isinstance(value, str):
        return repr(value if len(value) <= _MOST else f"{value[:_MOST]}...")
    kind = {"NAType": "missing value (pandas' NA)", "PosixPath": "Path", "WindowsPath": "Path"}.get(
        type(value).__name__, type(value).__name__
    )
    if isinstance(value, bytes | bytearray):
        return kind
    size = ""
    if isinstance(value, list | tuple | set | frozenset | dict) or _is_pandas(value, "Series", "Index", "DataFrame"):
        item = "row" if kind == "DataFrame" else "value"
        size = f" of {len(value):,} {item}{'' if len(value) == 1 else 's'}"
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}{size}"


def suggest(word: Any, known: Iterable[Any], *, listed: bool = False) -> str:
    """Suggest the nearest of the known words, as the end of a sentence about a wrong one.

    Where none is near all are listed, unless the sentence has done so (`listed`).
    """
    from difflib import get_close_matches  # a call that is right does without

    names = [str(one) for one in known]
    if near := get_close_matches(word, names, 1) if isinstance(word, str) else []:
        return f"; did you mean {near[0]}?"
    return "" if listed or not names else f"; there are {', '.join(names)}"


def explain_choice(value: Any, words: Iterable[Any]) -> str:
    """Say which words are right in the place of a wrong one, and which is the nearest."""
    words = list(words)
    return f"expected one of {', '.join(map(str, words))}, got {describe(value)}{suggest(value, words, listed=True)}"


def is_table(value: Any) -> bool:
    """Tell whether a value is a DataFrame, a Series, an Index or pandas' NA: comparing it gives no truth value."""
    return _is_pandas(value, "DataFrame", "Series", "Index") or type(value).__name__ == "NAType"


# Models


class NamedModel(Protocol):
    """What `nbkit.Model` has to name itself."""

    @property
    def name(self) -> str:
        """The name of the model in requests."""

    @property
    def provider_name(self) -> str:
        """The provider that serves the model, by models.dev's id."""

    def get_path(self) -> str:
        """Build `provider/vendor/model`."""


ModelName: TypeAlias = "str | NamedModel | pd.Series[Any] | pd.DataFrame | pd.Index[Any]"
"""What names one model: its id, path or name, a `Model`, a row of the catalog, or a frame or an index of one row."""


def read_model(value: Any, name: str = "the model") -> str:
    """Read what names one model: an id, a row of the catalog (or the one row of a frame), or a `Model`."""
    if isinstance(value, str):
        return value
    if _is_pandas(value, "DataFrame", "Index") and len(value) == 1:
        value = _read_row(value.iloc[0]) if _is_pandas(value, "DataFrame") else value[0]
    elif _is_pandas(value, "Series"):
        value = _read_row(value)
    elif hasattr(value, "provider_name") and hasattr(value, "get_path"):  # nbkit.Model
        value = f"{value.provider_name}/{value.name}"
    if isinstance(value, str):
        return value
    raise ArgumentError(f"{name}: expected {MODEL} or a row of the catalog, got {describe(value)}")


def read_models(value: Any, single: tuple[type, ...] = (str,), nested: tuple[type, ...] = ()) -> list[Any]:
    """Read what names several models: one, a list of them, rows of the catalog, or a column or index of ids.

    `single`: the types that are one model and are kept as they are; `nested`: those that are one in a list only.
    """
    if isinstance(value, single) or _is_row(value) or hasattr(value, "get_path"):
        several = [value]
    elif _is_pandas(value, "DataFrame", "Series", "Index"):
        if len(value) > _MOST_ROWS:
            raise ArgumentError(
                f"the models: {describe(value)} would be asked at once: choose some, with .head(5) for example"
            )
        several = [row for _, row in value.iterrows()] if _is_pandas(value, "DataFrame") else value.tolist()
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | Mapping):
        several = list(value)
    else:
        raise ArgumentError(f"the models: expected {MODEL}, or a list of them, got {describe(value)}")
    return [item if isinstance(item, (*single, *nested)) else read_model(item) for item in several]


def _is_row(value: Any) -> bool:
    """Tell whether a value is a row of the catalog."""
    return _is_pandas(value, "Series") and {"provider", "model"} <= set(value.index)


def _read_row(row: Any) -> Any:
    """Read the model id of a row of the catalog, or the only value of a column; else the row."""
    if _is_row(row):
        return f"{row['provider']}/{row['model']}"
    return row.iloc[0] if len(row) == 1 else row


def _is_pandas(value: Any, *names: str) -> bool:
    """Tell whether a value is of one of these types of pandas, without loading pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, tuple(getattr(pandas, name) for name in names))


# Values by annotation


def read_text(value: Any, name: str) -> str:
    """Read text."""
    if isinstance(value, str):
        return value
    raise ArgumentError(f"{name}: expected text, got {describe(value)}")


def read_count(value: Any, name: str) -> int:
    """Read a whole number, also one that is written as 1e6."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ArgumentError(f"{name}: expected a whole number, got {describe(value)}")


def read_number(value: Any, name: str) -> float:
    """Read a number that is not NaN."""
    if isinstance(value, Real | Decimal) and not isinstance(value, bool):
        with suppress(OverflowError, ValueError):  # a whole number of 400 digits, a NaN that is not to be used
            if not isnan(number := float(value)):
                return value if isinstance(value, int | float) else number
    raise ArgumentError(f"{name}: expected a number, got {describe(value)}")


def read_truth(value: Any, name: str) -> bool:
    """Read True, False, or 1 and 0."""
    number = isinstance(value, Real) and value in (0, 1)
    if number or isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # those of numpy
        return bool(value)
    raise ArgumentError(f"{name}: expected True or False, got {describe(value)}")


def _read_rows(value: Any, name: str) -> Any:
    if _is_pandas(value, "DataFrame"):
        return value
    if _is_row(value):
        return value.to_frame().T.infer_objects()
    raise ArgumentError(f"{name}: expected rows of the catalog (a DataFrame), got {describe(value)}")


def _read_texts(value: Any, name: str) -> list[str]:
    if isinstance(value, str):
        return [value]
    texts = list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes) else None
    if texts is None or _is_pandas(value, "DataFrame") or not all(isinstance(text, str) for text in texts):
        raise ArgumentError(f"{name}: expected a list of text, got {describe(value)}")
    return texts


def _read_mapping(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value
    raise ArgumentError(f"{name}: expected a dict, got {describe(value)}")


def _read_ports(value: Any, name: str) -> Any:
    return {key: read_count(port, f"{name}[{key!r}]") for key, port in _read_mapping(value, name).items()}


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "str": read_text,
    "int": read_count,
    "float": read_number,
    "bool": read_truth,
    "pd.DataFrame": _read_rows,
    "Iterable[str]": _read_texts,
    "Sequence[str]": _read_texts,
    "dict[str, Any]": _read_mapping,
    "Mapping[str, int]": _read_ports,
}


@lru_cache(256)
def _split(annotation: str) -> tuple[bool, str]:
    """Split an annotation into whether None is allowed, and the rest."""
    parts = annotation.split(" | ")
    return "None" in parts, " | ".join(part for part in parts if part != "None")


def _read(value: Any, annotation: str, name: str, names: Mapping[str, Any]) -> Any:
    optional, wanted = _split(annotation)
    if value is None and optional:
        return value
    if wanted in _READERS:
        return _READERS[wanted](value, name)
    kind = names.get(wanted)
    if not isinstance(kind, type) or kind is Any or getattr(kind, "_is_protocol", False):
        return value
    if not isinstance(value, kind):
        raise ArgumentError(f"{name}: expected a {kind.__name__}, got {describe(value)}")
    return value
