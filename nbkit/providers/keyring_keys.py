"""Keys in the keyring of the operating system: macOS's Keychain, Windows's Credential Locker, Secret Service, KWallet.

The package `keyring` (the extra of that name) asks it. That may take a while, and may open a window that asks for a
password, so only a key that `set_key` has put there is ever looked for: `keyring.txt`, beside the overrides file, has
the names of their variables, a line each. Without one, nothing is loaded. A key that was read is kept in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from nbkit.errors import ConfigError
from nbkit.files import write_atomically
from nbkit.installed import name_extra
from nbkit.secret import Secret
from nbkit.settings import Scoped, settings

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_SERVICE = "nbkit"
_FORGETFUL = ("keyring.backends.fail", "keyring.backends.null")
T = TypeVar("T")


class _Stored(NamedTuple):
    """The names in the file as it was at a time, and those keys of them that were read."""

    changed: int
    names: frozenset[str]
    keys: dict[str, Secret | None]


_stored: Scoped[list[_Stored]] = Scoped(list, "overrides")  # at most one


_path: Scoped[str] = Scoped(lambda: str(settings().overrides.with_name("keyring.txt")), "overrides")


def _find_stored() -> _Stored:
    """Read the file, if it has changed. Raises ConfigError."""
    path, known = _path(), _stored()
    try:
        changed = os.stat(path).st_mtime_ns  # noqa: PTH116  # for each provider of a catalog: a Path takes twice as long
        if not known or known[0].changed != changed:
            known[:] = [_Stored(changed, frozenset(Path(path).read_text("utf-8").split()), {})]
        return known[0]
    except FileNotFoundError:
        known.clear()
        return _Stored(0, frozenset(), {})
    except (OSError, ValueError) as broken:
        problem = f"{path}: {broken}; correct or delete it"
    raise ConfigError(problem)


def list_stored() -> frozenset[str]:
    """List the variables whose key is in the keyring, which is not asked."""
    return _find_stored().names


def find_stored(variables: Iterable[str]) -> str | None:
    """Find the first of the variables whose key is in the keyring, which is not asked."""
    names = list_stored()
    return next((name for name in variables if name in names), None)


def read_stored(variable: str) -> str:
    """Read the key of a variable from the keyring; "" where nobody has put it there, or it was removed since.

    Raises ConfigError where the keyring cannot be read.
    """
    stored = _find_stored()
    if variable not in stored.names:
        return ""
    if variable not in stored.keys:

        def read(ring: KeyringBackend) -> Secret | None:
            key = ring.get_password(_SERVICE, variable)
            return Secret(key) if key else None

        stored.keys[variable] = _ask_keyring(read)
    key = stored.keys[variable]
    return key.reveal() if key else ""


def list_read_keys() -> list[str]:
    """List the keys that were read in this process."""
    return [key.reveal() for stored in _stored() for key in stored.keys.values() if key]


def check_keyring() -> str:
    """Return the name of the machine's keyring. Raises ConfigError where no key can be kept there."""
    return _ask_keyring(_name_keyring)


def store_key(variable: str, key: Secret) -> str:
    """Put a key into the keyring; return the keyring's name. Raises ConfigError where it cannot be kept there."""

    def write(ring: KeyringBackend) -> bool:
        ring.set_password(_SERVICE, variable, key.reveal())
        return ring.get_password(_SERVICE, variable) == key.reveal()

    where = check_keyring()
    if not _ask_keyring(write):
        raise ConfigError(f"{where} did not keep the key of {variable}; nothing has changed")
    _write_names(_find_stored().names | {variable})
    return where


def remove_key(variable: str) -> str:
    """Take a key out of the keyring; return the keyring's name, "" where none was put there."""
    if variable not in _find_stored().names:
        return ""

    def remove(ring: KeyringBackend) -> str:
        if ring.get_password(_SERVICE, variable) is not None:  # it may have been removed by other means
            ring.delete_password(_SERVICE, variable)
        return _name_keyring(ring)

    where = _ask_keyring(remove)
    _write_names(_find_stored().names - {variable})
    return where


def _write_names(names: Iterable[str]) -> None:
    try:
        write_atomically(Path(_path()), "".join(f"{name}\n" for name in sorted(names)).encode())
    except OSError as failed:
        problem = f"{_path()}, which says what is in the keyring, cannot be written: {failed}"
    else:
        _stored().clear()
        return
    raise ConfigError(problem)


def _name_keyring(ring: KeyringBackend) -> str:
    return str(ring.name)


def _ask_keyring(act: Callable[[KeyringBackend], T]) -> T:
    """Do something with the machine's keyring. Raises ConfigError; an error of the keyring itself may hold the key."""
    try:
        from keyring import get_keyring
    except ImportError:
        problem = f"the keyring needs the package keyring, which is not installed: {name_extra('keyring')}"
    else:
        try:
            ring = get_keyring()
            problem = _find_fault(ring)
            if not problem:
                return act(ring)
        except Exception as failed:  # noqa: BLE001  # each kind of keyring has errors of its own
            problem = f"the keyring of this machine failed: {type(failed).__name__}; it may be locked"
    raise ConfigError(f"{problem}. nbkit.set_key() without keyring=True keeps a key until the kernel ends")


def _find_fault(ring: KeyringBackend) -> str:
    """Say why a keyring is not one to keep a key in; "" where it is."""
    chosen = next(iter(getattr(ring, "backends", ())), ring)  # of several the first is written
    if type(chosen).__module__ in _FORGETFUL:
        return "this machine has no keyring, as most servers and containers"
    if "plaintext" in type(chosen).__name__.lower():
        return f"the keyring of this machine, {chosen.name}, is a plain file that everybody can read who gets it"
    return ""
