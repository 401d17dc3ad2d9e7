"""Cells that hold an API key: they are refused before they run, and IPython's history does not keep the key.

The notebook's file has it already, and whoever gets the file has it then. So the cell is replaced by one that says so.
"""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from nbkit.errors import ConfigError
from nbkit.notebook.cells import find_shell
from nbkit.providers.credentials import list_secrets
from nbkit.providers.key_shapes import KeyMatch, find_keys, is_random, mask_keys

# IPython keeps no cell in its history that calls a magic with "paste" in its name: history.sqlite and In[] get what
# `refuse` puts there, the cell without its key.
_REFUSAL = (
    "raise __import__('nbkit.notebook.guard', fromlist=['refuse']).refuse()"
    "  # get_ipython().run_line_magic( %paste: not in the history\n"
)
_allowed: list[bool] = [False]  # by `%nbkit keys allow`, until the kernel ends


def find_keys_here(text: str) -> list[KeyMatch]:
    """Find the API keys in the text of a cell; those of this process also where nothing names them."""
    return [] if _allowed[0] else find_keys(text, filter(is_random, list_secrets()))


def guard_cell(lines: list[str]) -> list[str]:
    """Put a cell that raises UsageError in the place of one that holds a key."""
    return [_REFUSAL] if find_keys_here("".join(lines)) else lines


guard_cell.has_side_effects = True  # type: ignore[attr-defined]  # so IPython does not ask it whether a cell is complete


def refuse() -> UsageError:
    """Make the error of the running cell, and keep the cell in the history without its keys."""
    shell: Any = find_shell()
    result = shell.displayhook.exec_result
    text = result.info.raw_cell
    matches = find_keys_here(text)
    result.info.raw_cell = masked = mask_keys(text, matches)
    if result.info.store_history:
        shell.history_manager.store_inputs(result.execution_count, masked, masked)
    return UsageError(f"the cell did not run: {describe_keys(matches)}")


def describe_keys(matches: list[KeyMatch]) -> str:
    """Say what to do about a cell that holds these keys."""
    shown = next((f" ({one.prefix}...)" for one in matches if one.prefix), "")
    provider = next((one.provider for one in matches if one.provider), "openai")
    return (
        f"it holds what looks like an API key{shown}, which is in the notebook's file now. Take it out; if the file "
        f"was saved or shared, revoke the key. nbkit.set_key({provider!r}) asks for a key in a box that nothing keeps. "
        "%nbkit keys allow runs such cells all the same"
    )


def switch_guard(mode: str = "refuse") -> str:
    """Run cells that hold a key (`allow`), or refuse them. Raises ConfigError for another word."""
    if mode not in ("allow", "refuse"):
        raise ConfigError(f"unknown word {mode!r}: use %nbkit keys allow, %nbkit keys refuse")
    _allowed[0] = mode == "allow"
    return "cells that hold an API key " + ("run, until the kernel ends" if _allowed[0] else "are refused")
