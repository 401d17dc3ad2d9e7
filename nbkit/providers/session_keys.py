"""`set_key`: a provider's API key for this process, and on request for later ones, typed where nobody sees it."""

from __future__ import annotations

import getpass
import warnings
from difflib import get_close_matches

from msgspec import Struct

from nbkit.arguments import check_arguments
from nbkit.errors import ConfigError
from nbkit.modelsdev.records import Provider
from nbkit.providers.credentials import find_key_variable, forget_key, key_variables, remember_key
from nbkit.providers.key_shapes import find_keys
from nbkit.providers.keyring_keys import check_keyring, remove_key, store_key
from nbkit.providers.known import load_known_snapshot
from nbkit.providers.tables import provider_defaults, table
from nbkit.secret import Secret


class SessionKey(Struct, frozen=True):
    """What `set_key` did; never the key itself."""

    provider: str
    variable: str
    """The environment variable in whose place the key stands."""
    keys: int
    """How many there are: several were separated by commas, and none is left after `forget`."""
    keyring: str = ""
    """The keyring that it was put into, or taken out of."""

    def __repr__(self) -> str:
        if not self.keys:
            other = find_key_variable((self.variable,))
            left = f"; {other} counts again" if other else ""
            also = f", also by {self.keyring}" if self.keyring else ""
            return f"{self.provider}: the key is forgotten{also}{left}"
        what = "key set" if self.keys == 1 else f"{self.keys} keys set"
        until = f"and kept in {self.keyring}" if self.keyring else "until this kernel ends"
        return f"{self.provider}: {what} {until}, in the place of {self.variable}"


@check_arguments
def set_key(provider: str, *, keyring: bool = False, forget: bool = False) -> SessionKey:
    """Ask for a provider's API key, in a box that hides it, and use it until this process ends.

    `provider`: an id of models.dev (`openai`), or a model's. The key is kept in memory only: not in the notebook, not
    in `os.environ`, in no file. It wins over the environment and over `load_env`; so do several, with commas between
    them. Providers that read the same variable share it. Adapters, chats and comparisons that exist already use it from
    their next call on, unless they were given an `api_key` of their own. `forget` takes it back.

    `keyring`: also put it into the keyring of the operating system, with the extra `keyring`; later processes find it
    there where neither the environment nor `load_env` has a key. With `forget` it is taken out of there, too.

    Raises ConfigError where there is no such provider, where it takes no key, where nothing was typed, where the
    machine has no keyring or one that is a plain file, or where nobody can be asked (nbconvert, papermill, scripts):
    then set the environment variable that the error names.
    """
    row = _find_provider(provider)
    variables = key_variables(provider_defaults(row.id).get("env", row.env))
    if not variables:
        raise ConfigError(f"set_key(): {row.id} takes no API key; docs/keys.md says what it needs")
    if forget:
        where = "".join(dict.fromkeys(map(remove_key, variables))) if keyring else ""
        forget_key(variables)
        return SessionKey(row.id, variables[0], 0, where)
    if keyring:
        check_keyring()  # before anybody types a key for nothing
    key = _ask(row, variables[0], "kept in the keyring" if keyring else "until this kernel ends")
    where = store_key(variables[0], key) if keyring else ""
    return SessionKey(row.id, variables[0], remember_key(variables, key.reveal()), where)


def _find_provider(name: str) -> Provider:
    """Find a provider by its id, its name, another library's name for it, or the id of a model of it."""
    if find_keys(name):
        raise ConfigError("set_key(): takes the id of a provider, and asks for the key itself: nbkit.set_key('openai')")
    wanted = name.strip().lower().partition("/")[0]
    listed: dict[str, Provider] = {provider.id: provider for provider in load_known_snapshot().distinct("provider")}
    names = {provider.name.lower(): provider.id for provider in listed.values()} | {one: one for one in listed}
    aliases: dict[str, str] = table("aliases")["providers"]
    if row := listed.get(names.get(wanted) or aliases.get(wanted, "")):
        return row
    near = dict.fromkeys(names[one] for one in get_close_matches(wanted, names, 3))
    hint = f"; did you mean {', '.join(near)}?" if near else ": nbkit.provider_table() lists them"
    raise ConfigError(f"set_key(): no provider {name!r}{hint}")


def _ask(provider: Provider, variable: str, until: str) -> Secret:
    """Ask for the key. Raises ConfigError where nobody can be asked, or what was typed is not a key."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # what is typed would be seen
            key = getpass.getpass(f"API key of {provider.name} (hidden, {until}): ")
    except (getpass.GetPassWarning, EOFError, NotImplementedError):  # the last one is Jupyter's
        key, problem = "", f"nobody can be asked for the key here; set the environment variable {variable}"
    else:
        key = key.strip().replace(", ", ",")
        problem = "" if key else "no key was typed; nothing has changed"
        if not (key.isascii() and key.isprintable() and " " not in key):
            problem = "an API key has no spaces and no special characters; nothing has changed"
    secret = Secret(key)
    del key  # a traceback may print the locals of the frames that raise
    if problem:
        raise ConfigError(f"set_key(): {problem}")
    return secret
