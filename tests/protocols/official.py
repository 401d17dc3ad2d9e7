"""Request bodies against the types of the providers' own SDKs, which are TypedDicts: unknown keys are errors too."""

import types
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict  # of the SDKs' TypedDicts, which come from there


class Invalid(AssertionError):
    """`where` in the body something is wrong."""

    def __init__(self, where, problem):
        super().__init__(f"{'.'.join(map(str, where))}: {problem}")
        self.where = where


@cache
def fields(kind):
    """name -> (type, whether it must be there) of a TypedDict; what tells it from others of a union comes first."""
    hints = sorted(get_type_hints(kind, include_extras=True).items(), key=lambda item: "Literal" not in str(item[1]))
    return {name: (hint, get_origin(hint) is Required) for name, hint in hints}


def check(value, kind, where=()):
    """Raise Invalid where the JSON value is not of the type."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Required, NotRequired, Annotated):
        check(value, inner[0], where)
    elif origin in (Union, types.UnionType):
        check_union(value, inner, where)
    elif is_typeddict(kind):
        expect(isinstance(value, dict), where, "must be an object")
        for name, (hint, required) in fields(kind).items():
            expect(name in value or not required, (*where, name), "missing")
            if name in value:
                check(value[name], hint, (*where, name))
        for name in value:
            expect(name in fields(kind), (*where, name), f"{kind.__name__} does not have this key")
    elif origin is Literal:
        expect(any(value == known and type(value) is type(known) for known in inner), where, f"must be one of {inner}")
    elif origin is dict:
        expect(isinstance(value, dict), where, "must be an object")
        for name, item in value.items():
            check(item, inner[1], (*where, name))
    elif origin in (list, Iterable, Sequence) or getattr(origin, "__name__", "") == "SequenceNotStr":
        expect(isinstance(value, list), where, "must be a list")
        for index, item in enumerate(value):
            check(item, inner[0], (*where, index))
    elif kind not in (object, Any):
        fits = isinstance(value, (int, float) if kind is float else kind) and (
            kind is bool or not isinstance(value, bool)
        )
        expect(fits, where, f"must be {kind}")


def check_union(value, kinds, where):
    problems = []
    for kind in kinds:
        try:
            return check(value, kind, where)
        except Invalid as invalid:
            problems.append(invalid)
    raise max(problems, key=lambda problem: (len(problem.where), "must be one of" not in str(problem)))


def expect(holds, where, problem):
    if not holds:
        raise Invalid(where, problem)
