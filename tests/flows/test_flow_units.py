"""What flows decide by themselves, without Prefect running: steps, requests, policies, exit codes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from flows.audit import Audited
from flows.request import AuditRequest
from flows.results import RunResult
from flows.review.frozen import COLUMNS, Decided, Review
from flows.served import remembered
from flows.settings import configure_prefect
from flows.steps import Steps
from flows.tasks.data import config_of
from flows.workspace import Workspace
from pipeline.artifacts import RunFolder, write_json
from pipeline.errors import InputError, StorageError

NOTHING = pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
COMMAND = [str(Path(sys.executable).parent / "cxr-audit")]


def review(**decided: str) -> Review:
    """Decisions of two readers who agreed."""
    about = {"reviewers": ("ann", "bob"), "comment": "", "time": "", "software": ""}
    return Review({name: Decided(name, verdict, **about) for name, verdict in decided.items()}, NOTHING)


def test_a_step_is_done_once_per_key(tmp_path: Path) -> None:
    steps, folder, made = Steps(), RunFolder(tmp_path / "run", {}), []

    def work() -> None:
        made.append(1)
        write_json(folder.path / "a.json", len(made))

    for key in ("k", "k", "other"):
        steps.once(folder, "a.json", key, work)
    assert (len(made), steps.worked) == (2, 2)


def test_a_folder_is_made_once_and_leftovers_are_swept_up(tmp_path: Path) -> None:
    target, calls = tmp_path / "bundle", []

    def work() -> Path:
        calls.append(1)
        target.mkdir(exist_ok=True)
        (tmp_path / "bundle.training.partial").rmdir()
        return target

    for _ in range(2):  # the first makes it, the second finds it
        if not target.exists():
            (tmp_path / "bundle.training.partial").mkdir()
        assert Steps().made(target, work) == target
    assert len(calls) == 1
    (tmp_path / "bundle.training.partial").mkdir()  # killed between the rename and the sweep
    assert Steps().made(target, work) == target
    assert len(calls) == 2
    assert not (tmp_path / "bundle.training.partial").exists()


def test_findings_above_a_status() -> None:
    result = RunResult(
        run=Path("r"), report=Path("r/report.html"), state="complete", words=[], worked=0,
        findings={"confirmed": 1, "suspected": 2, "rejected": 4},
    )  # fmt: skip
    assert (result.count_at_least("confirmed"), result.count_at_least("suspected")) == (1, 3)


def test_a_person_wins_over_the_policy(tmp_path: Path) -> None:
    from flows.cleansing import accepted_findings, to_repair

    findings = [
        {"id": "F1", "status": "confirmed", "kind": "side"},
        {"id": "F2", "status": "confirmed", "kind": "word"},
        {"id": "F3", "status": "suspected", "kind": "date"},
        {"id": "F4", "status": "confirmed", "kind": "device"},  # can be clinically meaningful: never removed unasked
        {"id": "F5", "status": "confirmed", "kind": "trait/exposure"},  # nothing that could be filled
    ]
    write_json(tmp_path / "findings.json", {"findings": findings})
    nobody, both = review(), review(F1="keep", F3="accepted", F9="accepted")
    assert accepted_findings(tmp_path, "none", nobody) == {}
    assert accepted_findings(tmp_path, "confirmed", both) == {"F2": "policy: confirmed", "F3": "reviewers ann, bob"}
    assert accepted_findings(tmp_path, "none", review(F4="accepted")) == {"F4": "reviewers ann, bob"}
    assert [to_repair(tmp_path, accepted, nobody) for accepted in ({}, {"F1": "ann"})] == [False, True]


def test_runs_are_found_by_prefix(tmp_path: Path) -> None:
    for name in ("aa11", "aa22", "bb33"):
        RunFolder(tmp_path / "runs" / name, {})
    assert Workspace(tmp_path).run("bb").name == "bb33"
    with pytest.raises(InputError, match="2 runs"):
        Workspace(tmp_path).run("aa")


def test_prefect_keeps_quiet_and_inside_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PREFECT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    configure_prefect(tmp_path / "w")
    assert os.environ["PREFECT_HOME"] == str(tmp_path / "w" / ".prefect")
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "true"  # the user's own setting wins
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_the_workspaces_server_is_found_wherever_prefect_keeps_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    for folder in (home, tmp_path / "w" / ".prefect"):
        folder.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = f"http://127.0.0.1:{server.getsockname()[1]}/api"
        with remembered(tmp_path / "w", api):
            for variable in ("PREFECT_API_URL", "PREFECT_HOME"):
                monkeypatch.setenv(variable, str(home))
            monkeypatch.delenv("PREFECT_API_URL")
            configure_prefect(tmp_path / "w")
            assert (os.environ["PREFECT_API_URL"], os.environ["PREFECT_HOME"]) == (api, str(home))
            monkeypatch.delenv("PREFECT_API_URL")
            (home / "profiles.toml").touch()
            configure_prefect(tmp_path / "w")
            assert "PREFECT_API_URL" not in os.environ, "a profile says which server is meant"


def test_read_only_workspace_is_said_before_prefect_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(StorageError, match="--workspace"):
        configure_prefect(Path("/sys/cxr-audit"))


def test_requests_refuse_unknown_fields() -> None:
    with pytest.raises(ValueError, match="extra"):
        AuditRequest(manifest="phantom", sede=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["datasets", "list", "--json"], 0, '"phantom"'),
        (["datasets", "check", "fantom", "--data-root", "."], 1, "Did you mean 'phantom'"),
        (["run"], 2, "MANIFEST"),
        (["run", "phantom", "--preset", "swift"], 2, "quick"),
        (["decide", "last", "F1", "accepted", "--workspace", "nowhere"], 1, "newest: none"),
        (["detect", "no-such-file.png"], 2, "does not exist"),
    ],
)
def test_commands_answer_with_the_right_code(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND + arguments,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_detect_prints_boxes_in_file_pixels(tmp_path: Path) -> None:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (640, 500), 30)
    ImageDraw.Draw(picture).text((420, 60), "PORTABLE", fill=250, font=ImageFont.load_default(28))
    picture.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    done = subprocess.run([*COMMAND, "detect", str(tmp_path), "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert second["problem"] == "empty-file"
    (region,) = first["regions"]
    assert (region["kind"], region["text"]) == ("position", "PORTABLE")
    x0, y0, x1, y1 = region["box"]
    assert 405 < x0 < 425
    assert 55 < y0 < 72
    assert 545 < x1 < 600
    assert 78 < y1 < 100


def test_a_state_dict_and_its_spec_become_a_bundle(tmp_path: Path) -> None:
    import torch

    from flows.tasks.model import adopt
    from models import build, load_bundle

    network, spec = build("small", classes=("clear", "opacity"), input_size=(64, 64), seed=1)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    write_json(tmp_path / "spec.json", spec.as_dict())
    bundle = adopt.fn(Workspace(tmp_path), tmp_path / "weights.pt", tmp_path / "spec.json")
    again, read = load_bundle(bundle)
    assert read == spec
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["igos++", "grad-cam"])
def test_explain_writes_a_picture(method: str, tmp_path: Path) -> None:
    import numpy as np
    import torch
    from PIL import Image

    from flows.tasks.model import adopt
    from models import build

    network, spec = build("small", classes=("clear", "opacity"), input_size=(32, 32), seed=1)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    write_json(tmp_path / "spec.json", spec.as_dict())
    bundle = adopt.fn(Workspace(tmp_path), tmp_path / "weights.pt", tmp_path / "spec.json")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 120), dtype=np.uint8)).save(tmp_path / "a.png")
    arguments = [
        "explain",
        str(tmp_path / "a.png"),
        "--model",
        str(bundle),
        "--method",
        method,
        "--out",
        str(tmp_path / "e.png"),
    ]
    done = subprocess.run(COMMAND + arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "probability 0." in done.stdout
    assert Image.open(tmp_path / "e.png").size == (120, 120)


@pytest.mark.parametrize("section", [{"methods": ["igos+++"]}, {"options": {"igos+++": {"ig_steps": 3}}}])
def test_an_unknown_explainer_is_said_before_anything_is_done(section: dict[str, object]) -> None:
    request = AuditRequest(manifest="phantom", overrides={"explain": section})
    with pytest.raises(InputError, match=r"Unknown explainer 'igos\+\+\+'\. Did you mean"):
        config_of(request)


def test_a_run_of_another_version_says_so(tmp_path: Path) -> None:
    request = {"bundle": "m/v", "dataset": "d/v", "config": {"explain": {"ig_steps": 8}}}
    with pytest.raises(InputError, match=r"made by another version of cxr-audit, .*explain\.ig_steps"):
        Audited.of(tmp_path / "runs" / "r", request)
