"""The page of the command line: every command as click knows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import click

from docs.extensions.tables import code, table


def commands(command: click.Command, context: click.Context | None = None) -> Iterator[tuple[click.Context, str]]:
    """Every command below one and itself, with its context and its full name."""
    # Click remembers the help option of the first context that asks for it: that has to be the command's own.
    here = click.Context(command, parent=context, info_name=command.name, **command.context_settings)
    yield here, here.command_path
    if isinstance(command, click.Group):
        for name in command.list_commands(here):
            inner = command.get_command(here, name)
            assert inner is not None
            yield from commands(inner, here)


def command_page(root: click.Command) -> str:
    """All commands, one section each."""
    parts = [
        "# Command line\n",
        "Every command ends with exit code 0 when it did what was asked, and with 2 and one sentence on stderr when"
        " something is wrong that you can mend. `--help` tells the same as this page.\n",
    ]
    for context, name in commands(root):
        parts += [f"## `{name}`\n", *_section(context)]
    return "\n".join(parts)


def _section(context: click.Context) -> Iterator[str]:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```\n"
    yield _prose(command.help or "")
    rows = [row for parameter in command.get_params(context) for row in _row(parameter, context)]
    if rows:
        yield table(("parameter", "form", "default", "meaning"), rows)
    if isinstance(command, click.Group):
        inner = ((name, command.get_command(context, name)) for name in command.list_commands(context))
        rows = [(code(name), each.get_short_help_str(200)) for name, each in inner if each is not None]
        yield table(("command", "what it does"), rows)


def _prose(text: str) -> str:
    """Click's help as Markdown: paragraphs marked with a backspace keep their lines."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.lstrip().startswith("\b"):
            head, _, lines = paragraph.strip("\b\n ").partition("\n")
            parts.append(f"{head}\n\n```text\n{_dedented(lines)}\n```")
        else:
            parts.append(" ".join(paragraph.split()))
    return "\n\n".join(parts) + "\n"


def _dedented(text: str) -> str:
    margin = min((len(line) - len(line.lstrip()) for line in text.splitlines() if line.strip()), default=0)
    return "\n".join(line[margin:] for line in text.splitlines())


def _row(parameter: click.Parameter, context: click.Context) -> Iterator[tuple[str, ...]]:
    if isinstance(parameter, click.Argument):
        yield code(parameter.make_metavar(context)), _form(parameter), "needed" if parameter.required else "", ""
        return
    if not isinstance(parameter, click.Option) or parameter.hidden:
        return
    names = ", ".join(code(name) for name in (*parameter.opts, *parameter.secondary_opts))
    yield names, _form(parameter), _default(parameter, context), parameter.help or ""


def _form(parameter: click.Parameter) -> str:
    if getattr(parameter, "is_flag", False):
        return "flag"
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return ", ".join(code(choice) for choice in kind.choices)
    if isinstance(kind, click.DateTime):
        return "day, `YYYY-MM-DD`"
    if isinstance(kind, click.Path):
        return "folder" if not kind.file_okay else "file"
    words = "whole number" if isinstance(kind, click.types.IntParamType) else "number"
    if isinstance(kind, click.IntRange | click.FloatRange):
        least, most = kind.min, kind.max
        told = [] if least is None else [f"above {least}" if kind.min_open else f"at least {least}"]
        told += [] if most is None else [f"below {most}" if kind.max_open else f"at most {most}"]
        return ", ".join([words, *told])
    if isinstance(kind, click.types.FloatParamType | click.types.IntParamType):
        return words
    return code(parameter.metavar) if parameter.metavar else "text"


def _default(option: click.Option, context: click.Context) -> str:
    if option.required:
        return "needed"
    default = option.get_default(context)
    if option.is_flag or default is None or default == "" or not option.show_default:
        return ""
    return code(default.date() if isinstance(default, datetime) else default)
