"""Workers that would compute something else are refused, each with what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cluster.versions import require_same, require_same_workspace, versions
from pipeline.errors import InputError


def test_what_decides_the_bytes_is_asked_for() -> None:
    assert set(versions()) == {"cxr-audit", "code", "python", "torch", "numpy"}
    assert all(versions().values())
    require_same(versions(), {"tcp://a": dict(versions())})


def test_differences_are_listed_with_who_has_them() -> None:
    asked = {"cxr-audit": "0.7.0", "torch": "2.13.0"}
    old, other = {"cxr-audit": "0.6.0", "torch": "2.13.0"}, {"cxr-audit": "0.6.0", "torch": "2.1.0"}
    with pytest.raises(InputError) as caught:
        require_same(
            asked, {"tcp://b": other, "tcp://a": old, "tcp://c": asked, "tcp://d": ModuleNotFoundError("flows")}
        )
    said = str(caught.value)
    assert "cxr-audit 0.6.0 instead of 0.7.0: tcp://a, tcp://b" in said
    assert "torch 2.1.0 instead of 2.13.0: tcp://b" in said
    assert "cannot run cxr-audit (ModuleNotFoundError: flows): tcp://d" in said
    assert "tcp://c" not in said


def test_a_worker_that_does_not_see_the_workspace_is_named() -> None:
    require_same_workspace(Path("/w"), {"tcp://a": True})
    with pytest.raises(InputError, match="do not see the workspace /w: tcp://b, tcp://c"):
        require_same_workspace(Path("/w"), {"tcp://a": True, "tcp://c": False, "tcp://b": OSError("stale")})
