"""A checkpoint is read back, or set aside when a bit of it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from pipeline.train.checkpoint import read_checkpoint


def test_a_whole_checkpoint_is_read_and_a_missing_one_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "none.pt") is None
    torch.save({"step": 3}, tmp_path / "c.pt")
    assert read_checkpoint(tmp_path / "c.pt") == {"step": 3}


@pytest.mark.parametrize("damage", ["bit", "cut", "empty"])
def test_a_damaged_checkpoint_is_set_aside(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.pt"
    torch.save({"weights": torch.zeros(1000)}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # among the zeros: torch itself would not notice
    path.write_bytes(content)
    if damage != "bit":
        os.truncate(path, 1000 if damage == "cut" else 0)
    assert read_checkpoint(path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt.damaged-1"]
    assert "the training starts anew" in caplog.text
