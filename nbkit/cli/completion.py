"""Scripts that let a shell complete the commands and their options, generated from the parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

SHELLS = ("bash", "zsh", "fish")
_BASH = """\
_nbkit() {{
  local words
  case "${{COMP_WORDS[1]}}" in
{cases}
    *) words="{names}" ;;
  esac
  [ "$COMP_CWORD" = 1 ] && words="{names}"
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _nbkit nbkit
"""


def make_script(shell: str, commands: Mapping[str, argparse.ArgumentParser]) -> str:
    """Make the completion script for one of SHELLS, to be sourced: `source <(nbkit --completion bash)`."""
    flags = {name: [flag for flag, _ in _flags(parser)] for name, parser in commands.items()}
    if shell == "fish":
        return "".join(_fish(commands))
    cases = "\n".join(f'    {name}) words="{" ".join(words)}" ;;' for name, words in flags.items())
    bash = _BASH.format(cases=cases, names=" ".join(flags))
    return bash if shell == "bash" else f"autoload -U +X compinit bashcompinit && compinit && bashcompinit\n{bash}"


def _flags(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:  # argparse has no public list of them
        yield from ((flag, action.help or "") for flag in action.option_strings if flag.startswith("--"))


def _fish(commands: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    for name, parser in commands.items():
        yield f"complete -c nbkit -n __fish_use_subcommand -a {name} -d {_quote(parser.description or '')}\n"
        for flag, text in _flags(parser):
            yield f"complete -c nbkit -n '__fish_seen_subcommand_from {name}' -l {flag[2:]} -d {_quote(text)}\n"


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
