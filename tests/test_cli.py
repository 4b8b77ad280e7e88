"""The command line: what a person is told when something is wrong, and that every command explains itself."""

from __future__ import annotations

import gzip
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import hotspot, main
from tests.builders import ROOT

Run = Callable[..., str]
HAMPSHIRE = (ROOT / "regions" / "hampshire.toml").read_text(encoding="utf-8")
RECORDS = (
    "event_id,occurred_at,latitude,longitude,category,source\n"
    "P-1,2026-02-28T23:00:00+00:00,50.9075,-1.4065,robbery,hampshire/police\n"
)
#: One plain sentence: it begins as sentences do, names what is wrong, and ends; no traceback, no second line.
SENTENCE = re.compile(r"[A-Z][^\n]{10,400}[^.\n]\.\n")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings but the test's, and no log handlers left on streams that are gone."""
    for name in [name for name in os.environ if name.startswith("HOTSPOT_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line, which must fail with exit code 2 and one plain sentence; returns that sentence."""

    def run(*arguments: object, **settings: str) -> str:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["hotspot", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
        output = capsys.readouterr()
        assert exited.value.code == 2
        assert SENTENCE.fullmatch(output.err), output.err
        assert "Error" not in output.err
        return output.err.rstrip()

    return run


def region(directory: Path, text: str = HAMPSHIRE) -> Path:
    path = directory / "region.toml"
    path.write_text(text, encoding="utf-8")
    return path


def records(directory: Path, text: str = RECORDS) -> Path:
    path = directory / "records.csv"
    path.write_text(text, encoding="utf-8")
    return path


# --- help --------------------------------------------------------------------------------------------------------


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


COMMANDS = list(commands(hotspot))


def test_all_commands_are_there() -> None:
    assert {path[0] for path in COMMANDS if len(path) == 1} == {
        "backtest",
        "baseline",
        "briefing",
        "alerts",
        "audit",
        "calibrate",
        "demo",
        "region",
        "replay",
        "scan",
        "simulate",
        "worker",
        "contracts",
    }


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(("hotspot", *path)))
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_of_every_command_has_an_example(path: tuple[str, ...], option: str) -> None:
    result = CliRunner().invoke(hotspot, [*path, option], prog_name="hotspot")
    assert result.exit_code == 0
    _, found, examples = result.output.partition("Example")
    assert found
    assert re.search(rf"^ +(?:HOTSPOT_\S+ )*{' '.join(('hotspot', *path))}\b", examples, re.MULTILINE)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(("hotspot", *path)))
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    command: click.Command = hotspot
    for name in path:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), name)
        assert inner is not None
        command = inner
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith("."), parameter.name


# --- region files ------------------------------------------------------------------------------------------------

REGIONS: dict[str, tuple[str, str]] = {
    "not TOML": ("id = hampshire", " is not TOML: "),
    "empty": ("", " is not a region: id: "),
    "unknown field": ('colour = "red"\n' + HAMPSHIRE, " is not a region: colour: "),
    "missing field": (HAMPSHIRE.replace('timezone = "Europe/London"', ""), " is not a region: timezone: "),
    "number as text": (HAMPSHIRE.replace("cell_m = 250", 'cell_m = "wide"'), " is not a region: cell_m: "),
    "degrees": (HAMPSHIRE.replace("EPSG:27700", "EPSG:4326"), " is not projected; the grid needs metres"),
    "feet": (HAMPSHIRE.replace("EPSG:27700", "EPSG:2263"), " is not in metres."),
    "no such CRS": (HAMPSHIRE.replace("EPSG:27700", "EPSG:99"), " is not a coordinate reference system"),
    "no such zone": (HAMPSHIRE.replace("Europe/London", "Europe/Southampton"), " is not an IANA zone"),
    "a folder of zones": (HAMPSHIRE.replace("Europe/London", "Europe"), " is not an IANA zone"),
    "bounds the wrong way": (HAMPSHIRE.replace("west = -2.0", "west = 2.0"), "bounds need west < east"),
    "not a number": (HAMPSHIRE.replace("west = -2.0", "west = nan"), " is not a region: bounds.west: "),
    "no sources": (HAMPSHIRE.split("[[sources]]")[0], " is not a region: sources: "),
    "a source twice": (HAMPSHIRE.replace("RHU03", "RHM01"), "source 'hampshire/ed/RHM01' is listed twice."),
    "unknown kind": (HAMPSHIRE.replace('"police"', '"fire"'), " is not a region: sources.0.kind: "),
}


@pytest.mark.parametrize(("text", "finding"), REGIONS.values(), ids=REGIONS)
def test_a_malformed_region_file(told: Run, tmp_path: Path, text: str, finding: str) -> None:
    path = region(tmp_path, text)
    sentences = {
        told("replay", records(tmp_path), "--region", path, "--embedded", "--out", tmp_path / "out"),
        told("simulate", "--region", path, "--years", 1, "--seed", 1, "--out", tmp_path / "out.csv"),
        told("worker", HOTSPOT_REGIONS=str(path)),
    }
    (sentence,) = sentences
    assert sentence.startswith(f"The region file {path} ")
    assert finding in sentence


def test_a_missing_region_file(told: Run, tmp_path: Path) -> None:
    path = tmp_path / "nowhere.toml"
    missing = f"There is no region file {path}."
    assert told("replay", records(tmp_path), "--region", path, "--out", tmp_path / "out") == missing
    assert told("simulate", "--region", path, "--years", 1, "--seed", 1, "--out", tmp_path / "out.csv") == missing
    assert told("worker", HOTSPOT_REGIONS=f"{region(tmp_path)},{path}") == missing


@pytest.mark.parametrize("content", [b"\xff\xfei\x00d\x00", None], ids=["UTF-16", "a folder"])
def test_a_region_file_that_cannot_be_read(told: Run, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path
    if content is not None:
        path = tmp_path / "region.toml"
        path.write_bytes(content)
    sentence = told("replay", records(tmp_path), "--region", path, "--out", tmp_path / "out")
    assert sentence.startswith(f"The region file {path} cannot be read: ")


def test_two_region_files_that_claim_the_same_source(told: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(HAMPSHIRE.replace('id = "hampshire"', 'id = "wessex"'), encoding="utf-8")
    sentence = told("worker", HOTSPOT_REGIONS=f"{region(tmp_path)},{other}")
    assert sentence == "The source 'hampshire/police' stands in the region files of 'hampshire' and 'wessex'."


# --- incident files ----------------------------------------------------------------------------------------------

FILES: dict[str, tuple[str, bytes | None, str]] = {
    "missing": ("records.csv", None, "There is no file "),
    "empty": ("records.csv", b"", " lacks the column 'event_id'."),
    "not CSV": ("records.csv", b"\x89PNG\r\n\x1a\n\x00", " cannot be read: "),
    "missing column": ("records.csv", RECORDS.replace("category,", "").encode(), " lacks the column 'category'."),
    "ragged": ("records.csv", RECORDS.encode() + b"P-2,\n", "Line 3 of "),
    "no rows": ("records.csv", RECORDS.splitlines()[0].encode(), " has no records in the period asked for."),
    "not gzip": ("records.csv.gz", RECORDS.encode(), " cannot be read: "),
    "truncated gzip": ("records.csv.gz", gzip.compress(RECORDS.encode())[:-20], " cannot be read: "),
}


@pytest.mark.parametrize(("name", "content", "finding"), FILES.values(), ids=FILES)
def test_a_missing_or_malformed_incident_file(
    told: Run, tmp_path: Path, name: str, content: bytes | None, finding: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    sentence = told("replay", path, "--region", region(tmp_path), "--embedded", "--out", tmp_path / "out")
    assert str(path) in sentence
    assert finding in sentence


def test_a_period_without_records(told: Run, tmp_path: Path) -> None:
    arguments = ["replay", records(tmp_path), "--region", region(tmp_path), "--from", "2030-01-01"]
    sentence = told(*arguments, "--embedded", "--out", tmp_path / "out")
    assert sentence == f"The file {tmp_path / 'records.csv'} has no records in the period asked for."


# --- settings ----------------------------------------------------------------------------------------------------

SETTINGS = {
    "HOTSPOT_BOOTSTRAP": "kafka",
    "HOTSPOT_REDIS_URL": "http://localhost",
    "HOTSPOT_REGIONS": "",
    "HOTSPOT_PREFIX": "violence",
    "HOTSPOT_SOURCE_PARTITIONS": "0",
    "HOTSPOT_CLOCK": "sundial",
    "HOTSPOT_TICK_SECONDS": "nan",
    "HOTSPOT_METRICS_PORT": "http",
    "HOTSPOT_SIMULATED": "perhaps",
    "HOTSPOT_DETECTION": "{budget",
    "HOTSPOT_DETECTION__BUDGET_PER_28D": "-2",
    "HOTSPOT_DETECTION__RADII": "5",
}


@pytest.mark.parametrize(("name", "value"), SETTINGS.items())
def test_a_malformed_setting_of_a_worker(told: Run, name: str, value: str) -> None:
    assert re.match(rf"A setting cannot be used: {name}\b", told("worker", **{name: value}))


@pytest.mark.parametrize("radii", ["1", "[2, 1]", "one", "[-1, 0]", "[]"])
def test_a_malformed_list_of_settings(told: Run, radii: str) -> None:
    assert "A setting cannot be used: HOTSPOT_DETECTION" in told("worker", HOTSPOT_DETECTION__RADII_CELLS=radii)


def test_an_address_for_metrics_that_is_not_of_this_machine(told: Run, tmp_path: Path) -> None:
    # 192.0.2.1 stands for no machine (RFC 5737), so it cannot be listened on.
    sentence = told("worker", HOTSPOT_REGIONS=str(region(tmp_path)), HOTSPOT_METRICS_HOST="192.0.2.1")
    assert "192.0.2.1" in sentence


@pytest.mark.parametrize("name", ["HOTSPOT_LOOK_MINUTES", "HOTSPOT_LOCATED_PARTITIONS"])
@pytest.mark.parametrize("servers", [["--embedded"], ["--bootstrap", "127.0.0.1:1"]])
def test_a_malformed_setting_of_a_replay(told: Run, tmp_path: Path, name: str, servers: list[str]) -> None:
    arguments = ["replay", records(tmp_path), "--region", region(tmp_path), *servers, "--out", tmp_path / "out"]
    assert told(*arguments, **{name: "0"}).startswith(f"A setting cannot be used: {name}: ")


def test_an_address_of_kafka_that_is_none(told: Run, tmp_path: Path) -> None:
    arguments = ["replay", records(tmp_path), "--region", region(tmp_path), "--bootstrap", "kafka"]
    assert told(*arguments, "--out", tmp_path / "out").startswith("A setting cannot be used: HOTSPOT_BOOTSTRAP: ")


def test_a_malformed_setting_of_the_demo(told: Run) -> None:
    sentence = told("demo", "--for", 10, "--no-browser", HOTSPOT_REPLICATION="none")
    assert sentence.startswith("A setting cannot be used: HOTSPOT_REPLICATION: ")


# --- usage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        (["bogus"], "No such command 'bogus'."),
        (["replay"], "Missing argument 'FILE'."),
        (["replay", "f.csv", "--region", "r.toml", "--out", "o", "--from", "May"], "'May' does not match the format"),
        (["simulate", "--region", "r.toml", "--years", "0", "--seed", "1", "--out", "f.csv"], "0 is not in the range"),
        (["replay", "f.csv", "--region", "r.toml", "--out", "o", "--embedded", "--bootstrap", "a:1"], "exclude each"),
    ],
)
def test_a_mistaken_call_is_exit_code_2_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], finding: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["hotspot", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    told = capsys.readouterr().err
    assert exited.value.code == 2
    assert finding in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (["replay", "records.csv", "--region", "nowhere.toml", "--out", "out"], {}),
        (["replay", "nothing.csv", "--region", "region.toml", "--embedded", "--out", "out"], {}),
        (["worker"], {"HOTSPOT_METRICS_PORT": "http"}),
    ],
    ids=["region file", "incident file", "setting"],
)
def test_as_a_program_of_its_own(tmp_path: Path, arguments: list[str], setting: dict[str, str]) -> None:
    region(tmp_path)
    records(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", "from cli.main import main; main()", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **setting},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert SENTENCE.fullmatch(done.stderr), done.stderr
