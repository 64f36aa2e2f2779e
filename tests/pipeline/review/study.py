"""Small and large reviews made up for tests, and a PostgreSQL server of the tests' own.

phantom_workspace(folder)      a workspace with 24 images and a finished audit: files only
large_run(store, images=...)   rows of an audit of any size, written straight into the database
postgres_server()              a real server on a free port; `create_database()` gives URLs
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import create_engine, insert, text
from sqlalchemy.engine import make_url

from pipeline.artifacts import RunFolder, write_json, write_parquet
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.review.store import Store
from pipeline.review.store.bulk import analyse, insert_frame
from pipeline.review.store.tables import Finding, Item, Region, Run
from pipeline.types import Box, Split
from pipeline.types import Region as FoundRegion

SIZE = 64
IMAGES = 24
CLASSES = ("clear", "opacity")
RUN = "0123456789abcdef"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

SPLITS: tuple[Split, ...] = ("train", "val", "test", "other_source")
FINDINGS = (
    ("F01", "position", "confirmed", "The classifier reads position words (“PORTABLE”) as evidence for opacity"),
    ("F02", "side", "suspected", "The classifier may read side markers as evidence for opacity"),
    (
        "F03",
        "trait/sharpness",
        "suspected",
        "The classifier may read the sharpness of the image as evidence for opacity",
    ),
    ("F04", "arrow", "not-confirmed", "No sign that the classifier uses arrows"),
)
KINDS = {
    "position": ("PORTABLE", "top-right"),
    "side": ("L", "top-left"),
    "arrow": (None, "middle-center"),
    "number": (None, "bottom-left"),
}
"""Kind -> text and place of the regions of a made-up audit; no finding is about numbers."""


# ---------------------------------------------------------------- a workspace of files


@dataclass(frozen=True)
class Study:
    """A workspace with one audit."""

    workspace: Path
    run: Path
    dataset: DatasetVersion

    @property
    def regions(self) -> pd.DataFrame:
        """All regions that the detectors found."""
        return pd.read_parquet(self.run / "regions_all.parquet")


def phantom_workspace(workspace: Path) -> Study:
    """24 x-ray-like images (uint16, 64 px stored of 128 x 96 originals), two classes, and a finished audit of them.

    Every image has a side marker L top-left; every opacity, and every fourth clear image, has PORTABLE top-right; every
    third image an arrow. Images 0-7 are explained by grad-cam, 0-3 by igos++-fast too. Region 0 of image 1 (a
    marker) is held back. The last two images have residual marks.
    """
    dataset = _dataset(workspace / "datasets" / "tiny" / "v1")
    run = workspace / "runs" / RUN
    folder = RunFolder(run, {"dataset": "tiny/v1", "config": {"seed": 0}})
    for name in _artifacts(run, dataset):
        folder.record(name)
    return Study(workspace, run, dataset)


def _dataset(target: Path) -> DatasetVersion:
    images = pd.DataFrame([_image(row) for row in range(IMAGES)], columns=list(IMAGE_COLUMNS))
    with write_version(target, SIZE, "uint16") as writer:
        writer.write_shard(0, images.astype(IMAGE_COLUMNS), np.stack([_pixels(row) for row in range(IMAGES)]))
        meta = DatasetMeta("tiny", "v1", "Tiny phantoms", CLASSES, "opacity", SIZE, "uint16")
        writer.finish(meta, images, 1)
    return DatasetVersion(target)


def _image(row: int) -> dict[str, object]:
    return {
        "image_id": image_id(RUN, row),
        "path": f"images/{row:03d}.png",
        "dataset": "tiny",
        "source": "hospital-b" if row % 8 == 7 else "hospital-a",
        "label": CLASSES[row % 2],
        "patient_id": f"tiny:patient-{row // 2}",
        "split": SPLITS[3] if row % 8 == 7 else SPLITS[row % 3],
        "view": "PA",
        "width": 128,
        "height": 96,
        "bits": 12,
        "scale": 0.5,
        "pad_x": 0.0,
        "pad_y": 8.0,
    }


def _pixels(row: int) -> np.ndarray:
    rng = np.random.default_rng(row)
    y, x = np.mgrid[:SIZE, :SIZE]
    picture = 0.45 + 0.25 * np.sin(x / 9.0) * np.cos(y / 11.0) + rng.normal(0, 0.02, (SIZE, SIZE))
    picture[:8] = picture[56:] = 0.0
    for kind, box in _marks(row):
        shape = np.s_[int(box.y0 / 2) + 8 : int(box.y1 / 2) + 8, int(box.x0 / 2) : int(box.x1 / 2)]
        stripes = 2 + ("side", "position", "arrow").index(kind)
        picture[shape] = np.where((x[shape] + y[shape]) % stripes == 0, 0.2, 1.0)
    return np.rint(picture.clip(0, 1) * 65535).astype(np.uint16)


def _marks(row: int) -> list[tuple[str, Box]]:
    marks = [("side", Box(4, 4, 16, 16))]
    if row % 2 or row % 8 == 4:
        marks.append(("position", Box(90, 4, 124, 16)))
    if row % 3 == 0:
        marks.append(("arrow", Box(50 + row, 40, 70 + row, 52)))
    return marks


def _regions() -> pd.DataFrame:
    rows = []
    for row in range(IMAGES):
        for kind, box in _marks(row):
            found = FoundRegion(
                image_id(RUN, row), kind, box, "glyph" if kind == "side" else "text", 0.75, KINDS[kind][0]
            )  # type: ignore[arg-type]
            rows.append((found.region_id, found.image_id, kind, found.text, *box.as_tuple(), found.detector, 0.75))
    columns = ["region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1", "detector", "confidence"]
    return pd.DataFrame(rows, columns=columns).astype({"text": "string"})


def _artifacts(run: Path, dataset: DatasetVersion) -> list[str]:
    regions = _regions()
    ids = dataset.images["image_id"].astype(str).tolist()
    labels = dataset.images["label"].astype(str).tolist()
    opacity = np.array([0.9 if label == "opacity" else 0.2 for label in labels], dtype=np.float32)
    opacity[6] = 0.8
    tables = {
        "regions_all.parquet": regions,
        "regions.parquet": regions,
        "predictions.parquet": pd.DataFrame(
            {
                "image_id": ids,
                "split": dataset.images["split"].astype(str),
                "label": labels,
                "p_clear": 1 - opacity,
                "p_opacity": opacity,
            }
        ),
        "evidence.parquet": _evidence(regions, ids),
        "effects.parquet": _effects(regions, ids, labels),
        "residual.parquet": _residual(ids),
        "held_back.parquet": _held_back(regions, ids),
        "saliency/grad-cam.parquet": _explained("grad-cam", ids[:8]),
        "saliency/igos++-fast.parquet": _explained("igos++-fast", ids[:4]),
        "lookalikes.parquet": pd.DataFrame(
            {
                "region_id": regions["region_id"],
                "cluster": regions["kind"] + "-" + regions["text"].fillna("unread") + "-000",
            }
        ),
    }
    for name, table in tables.items():
        write_parquet(run / name, table)
    for name in ("grad-cam", "igos++-fast"):
        _maps(run / "saliency" / f"{name}.zarr", len(tables[f"saliency/{name}.parquet"]))
    write_json(run / "findings.json", {"findings": _findings(ids)})
    write_json(run / "clusters.json", _clusters(ids))
    return [*tables, "findings.json", "clusters.json"]


def _evidence(regions: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    seen = regions[regions["image_id"].isin(ids[:4])]
    share = {"position": 0.3, "side": 0.02, "arrow": 0.01}
    rows = [
        (
            each.region_id,
            each.image_id,
            each.kind,
            method,
            1,
            share[each.kind] / divisor,
            0.01,
            100 * share[each.kind] / divisor,
        )
        for each in seen.itertuples()
        for method, divisor in (("igos++-fast", 1), ("grad-cam", 2))
    ]
    names = ["region_id", "image_id", "kind", "method", "target", "share", "area_fraction", "enrichment"]
    return pd.DataFrame(rows, columns=names)


def _effects(regions: pd.DataFrame, ids: list[str], labels: list[str]) -> pd.DataFrame:
    rows = []
    for row in range(6):
        for kind, effect in (("position", 0.4), ("side", 0.01)):
            of = regions[(regions["image_id"] == ids[row]) & (regions["kind"] == kind)]
            if len(of):
                rows.append(
                    {
                        "image_id": ids[row],
                        "row": row,
                        "label": labels[row],
                        "kind": kind,
                        "region_ids": "|".join(of["region_id"]),
                        "n_regions": len(of),
                        "controls": 8,
                        "predicted": labels[row],
                        "predicted_removed": "clear",
                        "flip": labels[row] == "opacity" and kind == "position",
                        "p_opacity": 0.9,
                        "effect_opacity": effect,
                        "control_mean_opacity": 0.01,
                        "control_sd_opacity": 0.02,
                        "p_value_opacity": 0.11,
                        "q_opacity": 0.2,
                        "p_clear": 0.1,
                        "effect_clear": -effect,
                        "control_mean_clear": -0.01,
                        "control_sd_clear": 0.02,
                        "p_value_clear": 1.0,
                        "q_clear": 1.0,
                    }
                )
    return pd.DataFrame(rows)


def _residual(ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ids[-2:],
            "kind": ["number", "position"],
            "text": pd.array([None, "PORTABLE"], dtype="string"),
            "x0": [30.0, 88.0],
            "y0": [60.0, 2.0],
            "x1": [44.0, 120.0],
            "y1": [70.0, 14.0],
            "confidence": [0.6, 0.7],
            "overlap": [0.7, 0.9],
            "place": ["mark", "mark"],
        }
    )


def _held_back(regions: pd.DataFrame, ids: list[str]) -> pd.DataFrame:
    one = regions[regions["image_id"] == ids[1]].head(1)
    return one.drop(columns=["detector", "confidence"]).assign(lung_share=0.5, reason="in-lungs")


def _explained(method: str, ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "explainer": method,
            "image_id": ids,
            "row": np.arange(len(ids)),
            "target": np.arange(len(ids)) % 2,
            "probability": 0.9,
        }
    )


def _maps(path: Path, images: int) -> None:
    import zarr

    store = zarr.create_array(store=path, shape=(images, 16, 16), dtype="float32", chunks=(1, 16, 16))
    store[:] = np.random.default_rng(0).random((images, 16, 16), dtype=np.float32)


def _findings(ids: list[str]) -> list[dict[str, object]]:
    entries = []
    for finding, kind, status, title in FINDINGS:
        entries.append(
            {
                "id": finding,
                "kind": kind,
                "text": None,
                "status": status,
                "class": "opacity",
                "title": title,
                "summary": f"{title}.",
                "action": "Accept it to have it removed from the images of all classes, retrain, and compare.",
                "for": ["erasing it takes 0.4 (0.3 to 0.5), N = 6 from the probability of opacity"],
                "against": [],
                "examples": ids[1:8:2],
                "images": 4,
                "effect": {"excess": {"mean": 0.39, "low": 0.3, "high": 0.5, "n": 6}, "q": 0.001}
                if kind == "position"
                else None,
            }
        )
    return entries


def _clusters(ids: list[str]) -> dict[str, object]:
    def of(images: list[str]) -> dict[str, object]:
        return {"number": 0, "image_ids": images, "size": len(images), "share": 1.0, "flags": []}

    return {
        "method": "igos++-fast",
        "classes": {
            "clear": {"images": 2, "clusters": [of([ids[0], ids[2]])]},
            "opacity": {"images": 2, "clusters": [of([ids[1], ids[3]])]},
        },
    }


# ---------------------------------------------------------------- rows of an audit of any size


def image_id(run: str, row: int) -> str:
    """Id of a made-up image."""
    return hashlib.sha256(f"{run}|{row}".encode()).hexdigest()


def region_id(run: str, row: int, number: int) -> str:
    """Id of region `number` of a made-up image of `large_run`."""
    return hashlib.sha256(f"{run}|{row}|{number}".encode()).hexdigest()[:16]


def large_run(store: Store, images: int = 24, *, run: str = "synthetic", readers: int = 1, blind: bool = False) -> str:
    """Write an audit of `images` images with 3 regions each, nothing decided, without any file. Returns its id.

    Regions 0, 1, 2 of an image: a side marker L (F02), PORTABLE (F01) and, alternately, an arrow (F04) or a number
    (no finding). Class opacity on odd rows; source hospital-b on every eighth; look-alike clusters of 50 regions.
    """
    with store.writing() as session:
        session.execute(insert(Run), [_run_row(run, readers, blind)])
        session.execute(insert(Finding), [_finding_row(run, rank, images) for rank in range(len(FINDINGS))])
        for start in range(0, images, 5000):
            rows = range(start, min(start + 5000, images))
            insert_frame(session, Item, pd.DataFrame([_item_row(run, row) for row in rows]))
            insert_frame(session, Region, pd.DataFrame([each for row in rows for each in _region_rows(run, row)]))
        analyse(session, Item, Region, Finding)
    return run


def _run_row(run: str, readers: int, blind: bool) -> dict[str, object]:
    return {
        "run": run,
        "dataset": "tiny/v1",
        "title": "Made up",
        "classes": list(CLASSES),
        "positive": "opacity",
        "registered": NOW,
        "made_of": "made-up",
        "readers": readers,
        "blind": blind,
    }


def _finding_row(run: str, rank: int, images: int) -> dict[str, object]:
    finding, kind, status, title = FINDINGS[rank]
    regions = {"position": images, "side": images, "arrow": (images + 1) // 2}.get(kind, 0)
    payload = {
        "id": finding,
        "kind": kind,
        "status": status,
        "title": title,
        "text": None,
        "examples": [image_id(run, 1)],
    }
    return {
        "run": run,
        "finding": finding,
        "rank": rank + 1,
        "kind": kind,
        "text": None,
        "title": title,
        "audit_status": status,
        "payload": payload,
        "regions": regions,
    }


def _item_row(run: str, row: int) -> dict[str, object]:
    return {
        "run": run,
        "image": image_id(run, row),
        "row": row,
        "width": 128,
        "height": 96,
        "label": CLASSES[row % 2],
        "source": "hospital-b" if row % 8 == 7 else "hospital-a",
        "split": SPLITS[3] if row % 8 == 7 else SPLITS[row % 3],
        "predicted": CLASSES[(row // 3) % 2],
        "probability": 0.5 + (row % 50) / 100,
        "score": (row * 7919 % 10007) / 10007,
        "explained": row % 10 == 0,
        "saliency_cluster": f"opacity/{row % 4}" if row % 10 == 0 else None,
        "methods": ["grad-cam"] if row % 10 == 0 else [],
        "lungs": False,
        "regions": 3,
        "open": 3,
        "conflicts": 0,
        "tagged": False,
        "version": 0,
    }


def _region_rows(run: str, row: int) -> Iterator[dict[str, object]]:
    third = ("arrow", "F04") if row % 2 == 0 else ("number", None)
    for number, (kind, finding) in enumerate((("side", "F02"), ("position", "F01"), third)):
        word, place = KINDS[kind]
        yield {
            "run": run,
            "region": region_id(run, row, number),
            "image": image_id(run, row),
            "kind": kind,
            "text": word,
            "x0": 10.0 + 20 * number,
            "y0": 10.0,
            "x1": 25.0 + 20 * number,
            "y1": 22.0,
            "detector": "text",
            "confidence": 0.75,
            "origin": "detected",
            "place": place,
            "finding": finding,
            "cluster": f"{kind}-{row // 50:05d}",
            "held_back": "in-lungs" if row % 100 == 0 and number == 1 else None,
            "deleted": False,
            "edited": False,
            "status": "open",
        }


# ---------------------------------------------------------------- PostgreSQL

_PASSWORD = "only-for-tests"


@dataclass(frozen=True)
class PostgresServer:
    """A running server."""

    port: int
    names: Iterator[int]

    def create_database(self) -> str:
        """URL of a new, empty database."""
        name = f"review_{next(self.names)}"
        admin = create_engine(
            make_url(self.url("postgres")).set(drivername="postgresql+pg8000"), isolation_level="AUTOCOMMIT"
        )
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        return self.url(name)

    def url(self, database: str) -> str:
        """URL of one of its databases."""
        return f"postgresql://review:{_PASSWORD}@127.0.0.1:{self.port}/{database}"


def postgres_programs() -> Path | None:
    """Folder of initdb and pg_ctl, None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def postgres_server(*options: str) -> Iterator[PostgresServer]:
    """A server of its own on a free port of the loopback interface; gone, with its files, afterwards.

    Args:
        options: settings, such as ``"fsync=on"``; for speed, commits are not flushed to disk unless asked for.
    """
    programs = postgres_programs()
    assert programs is not None
    # Not below pytest's folder, which only its owner may enter: PostgreSQL refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="cxr-postgres-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        with (folder / "output.txt").open("a") as output:
            subprocess.run(command, check=True, user=user, cwd=folder, stdout=output, stderr=output, timeout=60)

    try:
        (folder / "password").write_text(_PASSWORD)
        call(
            "initdb",
            "-U",
            "review",
            "-A",
            "scram-sha-256",
            "--pwfile",
            str(folder / "password"),
            "-E",
            "UTF8",
            "--no-sync",
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        settings = [
            "fsync=off",
            "listen_addresses=127.0.0.1",
            f"port={port}",
            f"unix_socket_directories={folder}",
            *options,
        ]
        call("pg_ctl", "-w", "-l", str(folder / "log.txt"), "-o", " ".join(f"-c {each}" for each in settings), "start")
        try:
            yield PostgresServer(port, count(1))
        finally:
            call("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
