"""Which folder of this machine mirrors which URL.

A mirror says so itself, in its ``.mirror.json``: any process that is handed a path below it finds the store.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.artifacts import read_json, write_json
from pipeline.errors import InputError, did_you_mean

ENVIRONMENT = "CXR_AUDIT_MIRROR"
MIRROR = ".mirror.json"


def is_url(text: str) -> bool:
    """Whether `text` is a URL, not a path."""
    return "://" in text


def folder_of(url: str) -> Path:
    """The folder that mirrors `url` on this machine, made if need be: in `CXR_AUDIT_MIRROR` or the user's cache.

    Raises:
        InputError: no such kind of store, a package is missing, or the URL holds credentials.
    """
    url = url.rstrip("/")
    _check(url)
    folder = _mirrors().resolve() / hashlib.sha256(url.encode()).hexdigest()[:16]
    if not (folder / MIRROR).exists():
        write_json(folder / MIRROR, {"url": url, "id": uuid.uuid4().hex})
    return folder


def root_of(path: Path) -> Path | None:
    """The mirror that `path` lies in; None: it lies in none."""
    return next((folder for folder in (path, *path.parents) if (folder / MIRROR).exists()), None)


def url_of(folder: Path) -> str | None:
    """What `folder` mirrors; None: it is no mirror."""
    return str(read_json(folder / MIRROR)["url"]) if (folder / MIRROR).exists() else None


def id_of(folder: Path) -> str:
    """Tells this mirror from one at the same path of another machine."""
    return str(read_json(folder / MIRROR)["id"])


def _mirrors() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(ENVIRONMENT) or Path(home) / "cxr-audit" / "mirrors").expanduser()


def _check(url: str) -> None:
    import fsspec

    kind, _, place = url.partition("://")
    if "@" in place or "?" in place or urlsplit(url).password:
        raise InputError(
            f"--workspace: the URL of a workspace ({kind}://…) may hold no user, password or `?`: it is shown and "
            "stored. Give credentials as the store's client expects them, e.g. AWS_ACCESS_KEY_ID or a profile."
        )
    if not place.strip("/"):
        raise InputError(f"--workspace {url}: the bucket is missing. Give e.g. s3://bucket/prefix.")
    try:
        fsspec.get_filesystem_class(kind)
    except ValueError:
        known = fsspec.available_protocols()
        raise InputError(f"--workspace {url}: no such kind of store. {did_you_mean(kind, known)}") from None
    except ImportError as error:
        hint = "pip install 'cxr-audit[s3]'" if kind in ("s3", "s3a") else str(error)
        raise InputError(f"--workspace {url}: a package for {kind}:// is missing: {hint}") from None
