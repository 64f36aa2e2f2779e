"""What the demo promises: the planted marker is found, its removal repairs, removing random regions does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.timeout(1200)
def test_the_planted_shortcut_is_confirmed_removed_and_the_gain_is_real(
    tmp_path: Path, prefect_environment: dict[str, str]
) -> None:
    command = [str(Path(sys.executable).parent / "cxr-audit"), "demo", "--workspace", str(tmp_path), "--json"]
    done = subprocess.run(command, env=prefect_environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    run = Path(json.loads(done.stdout)["run"])

    findings = json.loads((run / "findings.json").read_text())["findings"]
    (planted,) = [finding for finding in findings if finding["kind"] == "position"]
    assert (planted["status"], planted["class"]) == ("confirmed", "opacity")
    assert planted["texts"][0]["text"] == "PORTABLE"

    conditions = json.loads((run / "comparison.json").read_text())["conditions"]
    raw, swapped = conditions["raw"], conditions["marker_swapped"]
    # Before: far worse once the marks stand on the other class. Intervals must not touch.
    assert swapped["before"]["auroc"]["high"] < raw["before"]["auroc"]["low"]
    assert swapped["before"]["precision"]["mean"] < raw["before"]["precision"]["mean"] - 0.1
    # After: recovered, by more than the control with random regions.
    assert swapped["differences"]["after-before"]["auroc"]["low"] > 0
    assert swapped["differences"]["after-before"]["precision"]["low"] > 0
    assert swapped["differences"]["after-control"]["auroc"]["low"] > 0
    assert "<script src" not in (run / "report.html").read_text()
