"""A simulated file through the real agents: every alert says that it is simulated, so nobody is sent out for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT

REGION = "regions/hampshire.toml"


def run(*words: str) -> str:
    """A command as a user runs it; what it tells."""
    done = subprocess.run([sys.executable, "-m", "cli", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.timeout(600)
def test_alerts_of_a_simulated_file_say_so(tmp_path: Path) -> None:
    file, out = str(tmp_path / "simulated.csv.gz"), tmp_path / "out"
    run("simulate", "--region", REGION, "--years", "1", "--seed", "3", "--out", file)
    told = run("replay", file, "--region", REGION, "--to", "2025-08-31", "--embedded", "--out", str(out))
    alerts = [json.loads(line) for line in (out / "alerts.jsonl").read_bytes().splitlines()]
    assert "Every alert says so." in told
    assert alerts
    assert all(alert["simulated"] for alert in alerts)
    assert all(alert["headline"].startswith("[SIMULATED]") for alert in alerts)
