"""What the repository promises about itself: imports, pins, licences, sizes, the wheel."""

from __future__ import annotations

import importlib.metadata
import os
import re
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALLOWED_TOP = {
    "pyproject.toml", "README.md", "LICENSE", "Makefile", "constraints.txt", "CHANGELOG.md", "CONTRIBUTING.md",
    ".gitignore", ".ci", "prefect.yaml", "pipeline", "flows", "models", "tests", "data_manifests", "docs",
}  # fmt: skip


def tracked() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")[
        :-1
    ]


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_import_contracts_hold_and_bite(tmp_path: Path) -> None:
    """The contracts hold, and a planted violation is caught."""
    lint = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    assert subprocess.run(lint, cwd=ROOT, capture_output=True, check=False).returncode == 0
    for package in ("pipeline", "flows", "models"):
        for source in (ROOT / package).rglob("*.py"):
            copy = tmp_path / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(source.read_text())
    (tmp_path / "models" / "planted.py").write_text("import pipeline.errors\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    planted = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert planted.returncode != 0
    assert "models.planted" in planted.stdout


def test_top_level_is_what_the_design_says() -> None:
    assert {name.split("/")[0] for name in tracked()} <= ALLOWED_TOP


def test_no_large_files() -> None:
    large = [name for name in tracked() if (ROOT / name).stat().st_size > 5_000_000]
    assert large == []


def test_no_registry_addresses_or_machine_paths() -> None:
    needle = re.compile(
        "|".join(
            [
                r"pypi\.o" + "rg",
                r"files\.python" + "hosted",
                r"registry\.npm" + "js",
                r"deb\.deb" + "ian",
                r"(?<!\w)/wo" + "rk/",
            ]
        )
    )
    found = [n for n in tracked() if Path(n).suffix != ".png" and needle.search((ROOT / n).read_text(errors="ignore"))]
    assert found == []


def test_help_answers_quickly() -> None:
    command = [str(Path(sys.executable).parent / "cxr-audit"), "--help"]
    subprocess.run(command, capture_output=True, check=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time: seconds of the clock depend on what else the machine does.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


@pytest.mark.parametrize(
    "module", ["pipeline", "pipeline.errors", "pipeline.types", "pipeline.config", "flows.__main__"]
)
def test_light_modules_do_not_load_torch(module: str) -> None:
    heavy = run_python(
        f"import sys, {module}; print([m for m in ('torch','monai','prefect','sklearn','cv2') if m in sys.modules])"
    )
    assert heavy.stdout.strip() == "[]", heavy.stdout + heavy.stderr


def test_opencv_imports_without_libgl(tmp_path: Path) -> None:
    """A bare server has no libGL: hide it behind an empty file of that name, which the loader refuses."""
    (tmp_path / "libGL.so.1").touch()
    result = run_python("import cv2; from rapidocr_onnxruntime import RapidOCR", LD_LIBRARY_PATH=str(tmp_path))
    assert result.returncode == 0, result.stderr


def test_no_copyleft_dependency_is_required() -> None:
    """GPL decoders come only with the extra. text-unidecode is dual-licensed (Artistic) and passes by name."""
    installed = {d.name.lower() for d in importlib.metadata.distributions()}
    assert "pylibjpeg-libjpeg" not in installed
    required = importlib.metadata.requires("cxr-audit") or []
    assert any("pylibjpeg-libjpeg" in line and "gpl-decoders" in line for line in required)


def test_every_dependency_is_pinned_and_the_pins_are_installed() -> None:
    pins = dict(
        line.lower().split("==")
        for line in (ROOT / "constraints.txt").read_text().split("\n")
        if "==" in line and line[0] != "#"
    )
    names = [
        re.split(r"[<>=\[; ]", line)[0].lower()
        for line in importlib.metadata.requires("cxr-audit") or []
        if "extra" not in line
    ]
    assert [name for name in names if name not in pins] == []
    wrong = {n: importlib.metadata.version(n) for n in names if importlib.metadata.version(n).split("+")[0] != pins[n]}
    assert wrong == {}


@pytest.mark.slow
def test_wheel_holds_the_packages_and_the_manifests_and_no_tests(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"pipeline", "flows", "models", "data_manifests"}
    assert "data_manifests/phantom.yaml" in names
    assert any(name.startswith("pipeline/report/templates/") for name in names)
