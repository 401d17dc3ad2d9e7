"""`set_key`: a provider's API key for this process, typed where nobody sees it."""

from __future__ import annotations

import getpass
import warnings
from dataclasses import dataclass
from difflib import get_close_matches

from nbkit.arguments import check_arguments
from nbkit.errors import ConfigError
from nbkit.modelsdev.records import Provider
from nbkit.providers.credentials import find_key_variable, forget_key, key_variables, remember_key
from nbkit.providers.known import load_known_snapshot
from nbkit.providers.tables import provider_defaults, table


@dataclass(frozen=True, slots=True, repr=False)
class SessionKey:
    """What `set_key` did; never the key itself."""

    provider: str
    variable: str
    """The environment variable in whose place the key stands."""
    keys: int
    """How many there are: several were separated by commas, and none is left after `forget`."""

    def __repr__(self) -> str:
        if not self.keys:
            other = find_key_variable((self.variable,))
            left = f"; {other} counts again" if other else ""
            return f"{self.provider}: the key is forgotten{left}"
        what = "key set" if self.keys == 1 else f"{self.keys} keys set"
        return f"{self.provider}: {what} until this kernel ends, in the place of {self.variable}"


@check_arguments
def set_key(provider: str, *, forget: bool = False) -> SessionKey:
    """Ask for a provider's API key, in a box that hides it, and use it until this process ends.

    `provider`: an id of models.dev (`openai`), or a model's. The key is kept in memory only: not in the notebook, not
    in `os.environ`, in no file. It wins over the environment and over `load_env`; so do several, with commas between
    them. Providers that read the same variable share it. Adapters, chats and comparisons that exist already use it from
    their next call on, unless they were given an `api_key` of their own. `forget` takes it back.

    Raises ConfigError where there is no such provider, where it takes no key, where nothing was typed, or where nobody
    can be asked (nbconvert, papermill, scripts): then set the environment variable that the error names.
    """
    row = _find_provider(provider)
    variables = key_variables(provider_defaults(row.id).get("env", row.env))
    if not variables:
        raise ConfigError(f"set_key(): {row.id} takes no API key; docs/keys.md says what it needs")
    if forget:
        forget_key(variables)
        return SessionKey(row.id, variables[0], 0)
    return SessionKey(row.id, variables[0], remember_key(variables, _ask(row, variables[0])))


def _find_provider(name: str) -> Provider:
    """Find a provider by its id, its name, another library's name for it, or the id of a model of it."""
    wanted = name.strip().lower().partition("/")[0]
    listed: dict[str, Provider] = {provider.id: provider for provider in load_known_snapshot().distinct("provider")}
    names = {provider.name.lower(): provider.id for provider in listed.values()} | {one: one for one in listed}
    aliases: dict[str, str] = table("aliases")["providers"]
    if row := listed.get(names.get(wanted) or aliases.get(wanted, "")):
        return row
    near = dict.fromkeys(names[one] for one in get_close_matches(wanted, names, 3))
    hint = f"; did you mean {', '.join(near)}?" if near else ": nbkit.provider_table() lists them"
    raise ConfigError(f"set_key(): no provider {name!r}{hint}")


def _ask(provider: Provider, variable: str) -> str:
    """Ask for the key. Raises ConfigError where nobody can be asked, or what was typed is not a key."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # what is typed would be seen
            key = getpass.getpass(f"API key of {provider.name} (hidden, until this kernel ends): ")
    except (getpass.GetPassWarning, EOFError, NotImplementedError):  # the last one is Jupyter's
        key, problem = "", f"nobody can be asked for the key here; set the environment variable {variable}"
    else:
        key = key.strip().replace(", ", ",")
        problem = "" if key else "no key was typed; nothing has changed"
        if not (key.isascii() and key.isprintable() and " " not in key):
            key, problem = "", "an API key has no spaces and no special characters; nothing has changed"
    if problem:
        raise ConfigError(f"set_key(): {problem}")
    return key
