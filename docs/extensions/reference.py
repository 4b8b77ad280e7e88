"""The reference pages, written from the code at each build: nothing on them is kept by hand."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.typing import ExtensionMetadata

import schemas
from cli.main import hotspot
from docs.extensions.commands import command_page
from docs.extensions.tables import code, contract_text, form_of, schema_of, table
from docs.extensions.written import write
from schemas.alert import AlertReason, EpisodeState
from schemas.calibration import CalibrationReport
from schemas.contracts import schema_files
from schemas.detection import WeekPart
from schemas.episodes import Outcome, Reason
from schemas.feedback import FeedbackResult
from schemas.feeds import FeedProblem
from schemas.heldout import BaselineReport
from schemas.layers import EmergingPattern
from schemas.located import Gate
from schemas.reasons import RejectReason
from schemas.region import RegionFile
from schemas.scan import ScanJob, ScanResult
from schemas.settings import Settings
from streams.metrics import Metrics
from streams.replay import Summary
from streams.topics import DAY_MS, Topics, topic_table

FOLDER: Final = "reference"
#: What is meant for use as a library, by module.
LIBRARY: Final = {
    "processors.scan.run": ("run_scan", "ScanError"),
    "processors.scan.inputs": ("ScanInput", "Places", "CaseRows", "PopulationRows"),
    "processors.scan.montecarlo": ("rank_p_value", "gumbel_p_value", "reported_p_value", "recurrence_days"),
    "processors.score": ("surprise",),
    "processors.permutation": ("window_p_value", "hypergeometric"),
    "processors.tails": ("Tail", "fit_tail", "far_tail", "level_error"),
}


def settings_page() -> str:
    """Every setting of a worker, by the name of its environment variable."""
    return "\n".join(
        [
            "# Settings\n",
            "Environment variables. One that cannot be used ends the command at once, with a sentence and exit code 2."
            " Lists of numbers are written as JSON. What operations staff should know of them is in"
            " [operations](../operations.md#settings).\n",
            "## Of a worker\n",
            _settings(Settings, "HOTSPOT_"),
            "## Of detection\n",
            "Commands that look at a file of records (`backtest`, `baseline`, `calibrate`, `replay`) read these, too."
            " Workers of one installation need equal values.\n",
            _settings(Settings.model_fields["detection"].annotation, "HOTSPOT_DETECTION__"),
        ]
    )


def _settings(model: Any, prefix: str) -> str:
    fields = schema_of(model)["properties"]
    rows = []
    for name, field in fields.items():
        if name == "detection":
            continue
        default = model.model_fields[name].default
        shown = ",".join(map(str, default)) if name == "regions" else _shown(default)
        rows.append((code(prefix + name.upper()), field.get("description", ""), code(shown), form_of(field)))
    return table(("variable", "meaning", "default", "form"), rows)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def metrics_page() -> str:
    """Every metric of a worker, with its labels as the client knows them."""
    rows = []
    for metric in vars(Metrics()).values():
        for family in metric.describe() if hasattr(metric, "describe") else ():
            name = family.name + ("_total" if family.type == "counter" else "")
            bounds = ", ".join(f"{bound:g}" for bound in getattr(metric, "_upper_bounds", ()) if bound != float("inf"))
            labels = ", ".join(map(code, metric._labelnames)) or "none"
            rows.append((code(name), family.type, labels, family.documentation, bounds))
    return "\n".join(
        [
            "# Metrics\n",
            "Served by each worker at `/metrics`. Times are in seconds; a timestamp is seconds since 1970. Values of"
            " labels come from closed lists: never a cell, a record or a place. How to read them is in"
            " [operations](../operations.md#metrics).\n",
            table(("metric", "type", "labels", "meaning", "bounds of a histogram"), rows),
        ]
    )


def codes_page() -> str:
    """Every closed list of codes."""
    enums: dict[str, tuple[type[Enum], str]] = {
        "Why an alert is sent": (AlertReason, "`reason` of an alert; nothing else is ever sent."),
        "States of an episode": (EpisodeState, "`state` of an alert."),
        "Reasons of decisions": (Reason, "Why an episode took a step, or did not; most of them are quiet."),
        "Outcomes": (Outcome, "What people found that an episode was."),
        "Results of feedback": (FeedbackResult, "What became of a message on `hotspot.feedback`."),
        "Problems of feeds": (FeedProblem, "`not_known` of an alert, and a label of `hotspot_feed_problem`."),
        "Classes of emerging hotspots": (EmergingPattern, "Of the [map layers](../layers.md#emerging-hotspots)."),
        "Parts of the week": (WeekPart, "Hours that a window may be confined to."),
        "Why a record is kept and not scanned": (Gate, "Such records count as `gated`."),
    }
    parts = [
        "# Reason codes and states\n",
        "Closed lists: codes are never renamed, for dead letters, alerts and dashboards keep them for months.\n",
        "## Reasons of dead letters\n",
        "Header `hotspot-reason` of a [dead letter](../operations.md#dead-letters), and a label of"
        " `hotspot_rejected_total`.\n",
        table(("reason", "what happened, and what to do"), [(code(r.value), r.sentence) for r in RejectReason]),
    ]
    for title, (enum, about) in enums.items():
        told = _member_texts(enum)
        rows = [
            (code(name.lower() if not isinstance(member, StrEnum) else member.value), told.get(name, ""))
            for name, member in enum.__members__.items()
        ]
        parts += [f"## {title}\n", about + "\n", table(("code", "meaning"), rows)]
    return "\n".join(parts)


def _member_texts(enum: type[Enum]) -> dict[str, str]:
    """What is written below the members of an enumeration."""
    found = ModuleAnalyzer.for_module(enum.__module__).find_attr_docs()
    return {name: " ".join(lines) for (owner, name), lines in found.items() if owner == enum.__name__}


def topics_page() -> str:
    """Every topic as a worker creates it."""
    settings = Settings.model_construct()
    topics = Topics(settings.prefix)
    about = {
        value.__get__(topics): value.__doc__ or "" for value in vars(Topics).values() if isinstance(value, property)
    }
    rows = []
    for topic in topic_table(topics, settings):
        kept = topic.config.get("retention.ms")
        days = f"{int(kept) // DAY_MS} days" if kept else "for good, compacted"
        rows.append((code(topic.topic), about[topic.topic], str(topic.num_partitions), days))
    return "\n".join(
        [
            "# Topics\n",
            "As a worker with the default settings creates those that are missing. Names begin with `HOTSPOT_PREFIX`."
            " What each hop guarantees is in [architecture](../architecture.md#what-each-hop-guarantees), what the"
            " messages hold in [messages](messages.md).\n",
            table(("topic", "what", "partitions", "kept"), rows),
        ]
    )


def messages_page(folder: Path) -> str:
    """Every contract, field by field, with its JSON Schema beside it."""
    parts = [
        "# Messages\n",
        "The contracts, as the code checks them. `hotspot contracts export DIR` writes the same JSON Schemas. Within a"
        " major version a contract only grows. [Integrators](../integrators.md#what-to-send) says more to partners.\n",
    ]
    for name, text in schema_files():
        write(folder / "schemas" / name, text)
        schema = json.loads(text)
        title = name.removesuffix(".json").removesuffix(".schema").removesuffix(".layout")
        parts.append(f"## {title}\n")
        parts.append(
            f"Where: {schema['$comment']}. [{name}](schemas/{name})\n"
            if "$comment" in schema
            else f"[{name}](schemas/{name})\n"
        )
        if name.endswith(".schema.json"):
            parts.append(contract_text(schema, 3))
        else:
            rows = [tuple(map(str, field.values())) for field in schema["fields"]]
            parts.append(table(tuple(schema["fields"][0]), rows))
    return "\n".join(parts)


def region_page() -> str:
    """The fields of a region file."""
    return "# Region file\n\nA region file is TOML; [regions](../regions.md) says how to make one.\n\n" + contract_text(
        schema_of(RegionFile), 2
    )


def results_page() -> str:
    """What commands write, field by field."""
    results: dict[str, tuple[str, type]] = {
        "metrics.json of a backtest": ("`hotspot backtest`; see [backtest](../backtest.md).", _backtest_metrics()),
        "A calibration": ("`hotspot calibrate --out`.", CalibrationReport),
        "A report on the baseline": ("`hotspot baseline --out`; see [baseline](../baseline.md).", BaselineReport),
        "The result of a scan": ("`hotspot scan --out`; see [scan](../scan.md).", ScanResult),
        "summary.json of a replay": ("`hotspot replay`; `hotspot demo --json` ends with these fields, too.", Summary),
    }
    parts = ["# Files that commands write\n"]
    for title, (about, model) in results.items():
        parts += [f"## {title}\n", about + "\n", contract_text(schema_of(model), 3)]
    return "\n".join(parts)


def _backtest_metrics() -> type[BaseModel]:
    """The contract of metrics.json, in whatever module of the schemas it is."""
    for module in pkgutil.iter_modules(schemas.__path__, "schemas."):
        found = getattr(importlib.import_module(module.name), "BacktestMetrics", None)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    raise LookupError("no module of schemas has BacktestMetrics")


def library_page() -> str:
    """Functions and classes for use from Python, from their docstrings."""
    parts = [
        "# Python library\n",
        "The numerics are plain functions: arrays in, arrays out, without clock, files or network. These are meant for"
        " use by themselves; [scans](../scan.md#as-a-library) has an example that runs.\n",
    ]
    for module, names in LIBRARY.items():
        about = importlib.import_module(module).__doc__ or ""
        parts.append(f"## `{module}`\n\n{about.strip()}\n\n```{{eval-rst}}")
        for name in names:
            found = getattr(importlib.import_module(module), name)
            directive = "autofunction" if not isinstance(found, type) else "autoclass"
            options = "   :members:\n   :no-undoc-members:\n" if directive == "autoclass" else ""
            parts.append(f".. {directive}:: {module}.{name}\n{options}")
        parts.append("```\n")
    parts.append(
        "## `schemas.scan`\n\nWhat a scan is asked for; its result is among the"
        " [files](results.md#the-result-of-a-scan).\n\n### ScanJob\n"
    )
    parts.append(contract_text(schema_of(ScanJob), 4))
    return "\n".join(parts)


def write_reference(folder: Path) -> None:
    """Write all pages into a folder, and take out what is no longer one."""
    pages: dict[str, Callable[[], str]] = {
        "command-line": lambda: command_page(hotspot),
        "settings": settings_page,
        "metrics": metrics_page,
        "codes": codes_page,
        "topics": topics_page,
        "messages": lambda: messages_page(folder),
        "region-file": region_page,
        "results": results_page,
        "python": library_page,
    }
    for page in folder.glob("*.md"):
        if page.stem not in pages:
            page.unlink()
    for name, make in pages.items():
        write(folder / f"{name}.md", make())


def _without_aliases(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Fields of a named tuple that say nothing of themselves say nothing: Python would have them say their number."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _without_aliases)
    app.connect("builder-inited", lambda app: write_reference(Path(app.srcdir) / FOLDER))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
