"""Finished folders list their files; what differs is named, and set aside so that it is made anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.artifacts import read_json
from pipeline.errors import IntegrityError
from pipeline.integrity import check, damage, present, seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    (tmp_path / "bundle" / "card.md").write_text("A card")
    (tmp_path / "bundle" / "models" / "model.pt").write_bytes(bytes(1000))
    seal(tmp_path / "bundle")
    return tmp_path / "bundle"


def flip(path: Path, at: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_whole_folder_has_nothing_to_tell(folder: Path) -> None:
    assert damage(folder, thorough=True) == []
    check(folder, "models/model.pt")
    assert set(read_json(folder / "files.json")) == {"card.md", "models/model.pt"}


def test_missing_short_and_changed_files_are_named(folder: Path) -> None:
    flip(folder / "models" / "model.pt")
    (folder / "card.md").unlink()
    assert damage(folder) == ["card.md is missing"]
    assert damage(folder, thorough=True) == ["card.md is missing", "models/model.pt has other content than was written"]
    os.truncate(folder / "models" / "model.pt", 10)
    assert "models/model.pt has 10 bytes instead of 1,000" in damage(folder)


def test_check_reads_the_files_it_is_given(folder: Path) -> None:
    flip(folder / "models" / "model.pt")
    check(folder, "card.md")
    with pytest.raises(IntegrityError, match=r"models/model\.pt has other content") as caught:
        check(folder, "models/model.pt")
    assert caught.value.path == folder


def test_a_damaged_folder_is_set_aside(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert present(folder)
    for number in (1, 2):
        folder.mkdir(exist_ok=True)
        (folder / "files.json").write_text("{")
        assert not present(folder)
        assert not folder.exists()
        assert (folder.parent / f"bundle.damaged-{number}").is_dir()
    assert "files.json cannot be read. It is set aside as bundle.damaged-1 and made anew." in caplog.text
    assert not present(folder)


def test_folders_without_a_list_pass(tmp_path: Path) -> None:
    assert present(tmp_path)
    assert damage(tmp_path, thorough=True) == []
