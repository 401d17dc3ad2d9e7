"""`load_env`: the keys of a `.env` file, read where somebody asks for it and never by itself.

A `.env` may have come with a notebook of somebody else. So only variables that nbkit's own, reviewed catalog names are
taken: keys, and the host, account or region that belongs to a key of the same file. A file cannot send a key that was
set elsewhere to a host that it names, nor set a proxy, a certificate, a base URL, a path or a setting of nbkit.

What is read is kept in this process for nbkit's calls: the environment stays as it is, so that no other program that is
started from here gets the keys.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct

from nbkit.arguments import describe
from nbkit.errors import ConfigError
from nbkit.files import check_owner
from nbkit.modelsdev.snapshot import BUNDLED, read
from nbkit.providers.credentials import VARIABLE, key_variables, list_plurals, remember_variables
from nbkit.providers.registered import list_registered_models
from nbkit.providers.tables import all_provider_defaults, table

_NEVER = ("BASE_URL", "_PROXY", "PATH")
"""Endings of names that are never taken, whatever a catalog says: they decide where requests go."""
_OTHERS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS")
"""Credentials that AWS's and Google's own packages read from the environment, and nbkit does not."""
_LARGEST = 1_000_000  # bytes


class LoadedEnv(Struct, frozen=True):
    """What `load_env` did, by the names of the variables; never their values."""

    path: Path
    taken: tuple[str, ...]
    kept: tuple[str, ...]
    """Set in the environment before: that value stays."""
    ignored: tuple[str, ...]
    """No key that nbkit knows, or a host whose key was set elsewhere."""

    def __str__(self) -> str:
        parts = [f"took {', '.join(self.taken) or 'nothing'}"]
        if self.kept:
            parts.append(f"already set: {', '.join(self.kept)} (override=True takes the file's)")
        if self.ignored:
            parts.append(f"ignored {', '.join(self.ignored)}")
        return f"{self.path}: {'; '.join(parts)}"


def load_env(path: str | os.PathLike[str] = ".env", *, override: bool = False) -> LoadedEnv:
    """Read API keys from a `.env` file for the calls of this process; return which variables were taken, by name.

    Variables that are set in the environment stay as they are, unless `override`. Only variables that hold a provider's
    key are taken, and the host, account or region that goes with a key of the same file. `os.environ` is not changed.
    Raises ConfigError where the file is missing, too large, not text, another user's, or others can write to it.
    """
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"load_env: expected the path of a .env file, got {describe(path)}")
    file = Path(path).expanduser()
    values = _read(file)
    known, taken, kept = _list_known(), dict[str, str](), list[str]()
    for name, value in values.items():
        if value and name in known and not name.endswith(_NEVER) and _may_take(name, values, known):
            if os.environ.get(name) and not override:
                kept.append(name)
            else:
                taken[name] = value
    remember_variables(taken, override=override)
    ignored = tuple(name for name in values if name not in taken and name not in kept)
    return LoadedEnv(file, tuple(taken), tuple(kept), ignored)


def _read(file: Path) -> dict[str, str | None]:
    values, problem = _parse(file)
    if problem:
        raise ConfigError(f"load_env: {problem}")
    return values


def _parse(file: Path) -> tuple[dict[str, str | None], str]:
    """Read the values, or say what the problem is: a traceback may print the locals of the frames that raise."""
    from dotenv import dotenv_values  # nothing else needs it

    try:
        with file.open("rb") as opened:
            check_owner(os.fstat(opened.fileno()), closed=True)
            data = opened.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError("larger than 1 MB")
        # Without interpolation: a value must not be able to pick up other variables.
        return dict(dotenv_values(stream=io.StringIO(data.decode("utf-8-sig")), interpolate=False)), ""
    except FileNotFoundError:
        return {}, f"no such file: {file.absolute()}"
    except (OSError, ValueError) as broken:
        return {}, f"{file}: {broken}"


def _may_take(name: str, values: dict[str, str | None], known: dict[str, list[tuple[str, ...]]]) -> bool:
    """Tell whether a variable may come from a file: a key, or what belongs to a key that comes from the same file."""
    if name in _OTHERS:
        return False
    for variables in known[name]:
        keys = (*key_variables(variables), *list_plurals(variables))
        if name in keys:
            return True
        if any(values.get(key) for key in keys) and not any(os.environ.get(key) for key in keys):
            return True
    return False


def _list_known() -> dict[str, list[tuple[str, ...]]]:
    """List the variables that a file may set, each with the variables of the providers that read it."""
    known: dict[str, list[tuple[str, ...]]] = {}
    for variables in (*_list_reviewed(), *(model.record.provider.env for model in list_registered_models())):
        for name in (*variables, *list_plurals(variables)):
            known.setdefault(name, []).append(variables)
    return known


@cache
def _list_reviewed() -> list[tuple[str, ...]]:
    """List the variables of each provider, as they came with nbkit; what the catalog names since then is not among."""
    return list(_read_reviewed())


def _read_reviewed() -> Iterator[tuple[str, ...]]:
    rows = all_provider_defaults()
    for provider in read(BUNDLED).distinct("provider"):
        row = rows.get(provider.id, {})
        addresses = f"{row.get('base_url', '')} {provider.api or ''}"
        names = [*provider.env, *row.get("env", ()), *VARIABLE.findall(addresses)]
        for name in names:  # and those that stand for one, or that it follows from: the list grows
            stand_ins = table("variables").get(name, {})
            names += [other for other in (*stand_ins.get("instead", ()), stand_ins.get("of")) if other]
        yield tuple(dict.fromkeys(names))
