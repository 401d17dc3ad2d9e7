"""The entry point of the command line. To add a command, add a function and a row in its module's COMMANDS."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
import zlib
from collections.abc import Sequence
from typing import Any

import nbkit
from nbkit.cli import bundle, calls, catalog, ledger, replay
from nbkit.cli.completion import SHELLS, make_script
from nbkit.errors import NbkitError

_COMMANDS = (*catalog.COMMANDS, *calls.COMMANDS, *ledger.COMMANDS, *replay.COMMANDS, *bundle.COMMANDS)
_EXIT = (
    "Exit status: 0 something was printed, 1 there was nothing to print or the command failed, 2 wrong usage, "
    "130 interrupted."
)


class _Completion(argparse.Action):
    """Print the script and exit, as --version does."""

    def __call__(self, parser: argparse.ArgumentParser, _: Any, values: Any, option: str | None = None) -> None:
        sys.stdout.write(make_script(values, self.const))
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """The parser of one command: its options may stand before, between and behind its words."""

    _is_within = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; argparse does it in two steps, each of which comes through here again."""
        if self._is_within:
            return super().parse_known_args(args, namespace)
        self._is_within = True
        return self.parse_known_intermixed_args(args, namespace)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nbkit", description="Choose, compare and pay for language models.", epilog=_EXIT
    )
    parser.add_argument("--version", action="version", version=f"nbkit {nbkit.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    for command in _COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.run.__doc__, epilog=_EXIT)
        groups: dict[str, Any] = {}
        for name, how in command.arguments.items():
            group = how.get("group")
            if group and group not in groups:
                groups[group] = sub.add_mutually_exclusive_group(required=True)
            target = groups[group] if group else sub
            target.add_argument(name, **{key: value for key, value in how.items() if key != "group"})
        sub.set_defaults(run=command.run)
    parser.add_argument(
        "--completion",
        choices=SHELLS,
        action=_Completion,
        const=dict(commands.choices),
        help="print a script that completes commands and options: source <(nbkit --completion bash)",
    )
    return parser


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line, without the place in nbkit that it comes from."""
    sys.stderr.write(f"nbkit: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status, as the help explains it. Wrong usage raises SystemExit(2)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a pipe on Windows takes few characters
    options = _parser().parse_args(argv)
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            printed: bool = options.run(options)
            sys.stdout.flush()
        except BrokenPipeError:  # `nbkit models | head` stops reading; without this, Python's flush at exit fails again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except KeyboardInterrupt:  # an answer that streamed is closed by now
            sys.stderr.write("\nnbkit: interrupted\n")
            return 130
        except (NbkitError, OSError, EOFError, ValueError, zlib.error) as error:
            sys.stderr.write(f"nbkit: {error}\n")
            return 1
    return 0 if printed else 1
