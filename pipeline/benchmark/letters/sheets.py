"""Generated films covered with letters, and with things that are none, and what each candidate stroke on them is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.benchmark.letters.shapes import SHAPES
from pipeline.flag.marks.letters import CLASSES, NONE, OTHER
from pipeline.flag.marks.strokes import SIDE, Corners, find_strokes
from pipeline.ingest.synthetic.phantom import PhantomSpec, render
from pipeline.randomness import numpy_generator

Ink = NDArray[np.uint8]
Rng = np.random.Generator

CELL = 96
"""A film is a grid of cells of this side, pixels, each with one letter, word or shape."""
FONTS = (
    *("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSans-BoldOblique.ttf"),
    *("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
    *("DejaVuSerif-Italic.ttf", "STIXGeneral.ttf", "STIXGeneralBol.ttf", "cmss10.ttf", "cmb10.ttf", "cmtt10.ttf"),
    "",
)
"""Of matplotlib; the empty name is the one that comes with Pillow."""
LINES = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX)
LEAD = "LRDIEACFGHBMSJNKTPWXYUV"
"""Letters that stand at any angle and mirrored: lead letters on the cassette and their owners' initials."""
UPRIGHT = "LRDILRDIEABCFGHabdfghabdfgh" + "JKMNPQSTUVWXYZ23456789eknrstuvwxyz"
_WORD = "ABCDEFGHIJKLMNPQRSTUVWXYZ23456789" + "abdefghknrstuvwxyz"
MATCH = 0.7
"""A stroke is a letter when its box and that of the letter's ink overlap by this IoU."""
STRAY = 0.02
"""A stroke is no letter when less than this share of its box is a letter's ink; what lies between is left out."""


@dataclass(frozen=True)
class Sheet:
    """`crops` (n, 2, side, side) of candidates and `classes` (n,), indices into `CLASSES`."""

    crops: NDArray[np.float16]
    classes: NDArray[np.int64]


def make_sheet(seed: int, number: int) -> Sheet:
    """The candidates of film `number`, labelled; depends on nothing but its arguments."""
    rng = numpy_generator(seed, "letter sheet", number)
    image, owners, names = _ground(rng), np.zeros((SIDE, SIDE), dtype=np.int32), [""]
    for top in range(0, SIDE - CELL + 1, CELL):
        for left in range(0, SIDE - CELL + 1, CELL):
            ink, whose = _cell(rng, names)
            _print(image[top : top + CELL, left : left + CELL], ink, rng)
            owners[top : top + CELL, left : left + CELL] = whose
    blurred = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.1, 0.8)) + rng.normal(0, 2, image.shape)
    film = _as_jpeg(np.asarray(np.clip(blurred, 0, 255), dtype=np.uint8), rng)
    strokes = find_strokes(film)
    labels = [_label(stroke.box, owners, names) for stroke in strokes]
    kept = [i for i, label in enumerate(labels) if label is not None]
    crops = np.stack([strokes[i].crop for i in kept]).astype(np.float16)
    return Sheet(crops, np.array([CLASSES.index(str(labels[i])) for i in kept]))


def _as_jpeg(film: Ink, rng: Rng) -> Ink:
    if rng.random() < 0.4:
        return film
    _, data = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 95))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


@cache
def _phantom(number: int) -> NDArray[np.float32]:
    spec = PhantomSpec(size=SIDE, seed=4)
    source: Any = ("phantom-a", "phantom-b")[number % 2]
    return render(spec, number // 2, source, with_marks=False).image


def _ground(rng: Rng) -> NDArray[np.float32]:
    """A phantom, flipped, darkened or inverted, at times with a black or bright surround."""
    image = 255 * _phantom(int(rng.integers(48))) ** rng.uniform(0.6, 1.8)
    image = np.rot90(image, int(rng.integers(4))) * rng.uniform(0.5, 1)
    image = 255 - image if rng.random() < 0.15 else image
    image = np.ascontiguousarray(image, dtype=np.float32)
    if rng.random() < 0.35:
        x0, y0 = rng.integers(0, SIDE // 3, 2)
        surround = np.full_like(image, rng.choice([0, 8, 25, 250]))
        surround[y0 : SIDE - y0, x0 : SIDE - x0] = image[y0 : SIDE - y0, x0 : SIDE - x0]
        image = surround
    return image


def _cell(rng: Rng, names: list[str]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Ink in [0, 1] of one cell, and for each pixel which letter it belongs to (0: none)."""
    ink, whose = np.zeros((CELL, CELL), np.float32), np.zeros((CELL, CELL), np.int32)
    chance = rng.random()
    if chance < 0.12:
        return ink, whose
    if chance < 0.5:
        shape = SHAPES[int(rng.integers(len(SHAPES)))]
        return np.asarray(shape(rng, CELL) / np.float32(255), dtype=np.float32), whose
    draw: Callable[..., list[tuple[str, Ink]]] = _word if chance < 0.65 else _marker if chance < 0.88 else _single
    for name, letter in draw(rng):
        if name:
            names.append(name)
            whose[letter > 110] = len(names) - 1
        ink = np.maximum(ink, letter / np.float32(255))
    return np.asarray(ink, dtype=np.float32), whose


def _single(rng: Rng) -> list[tuple[str, Ink]]:
    """An upright letter as a viewer prints it, plain or framed."""
    name = str(rng.choice(list(UPRIGHT)))
    height = rng.uniform(10, 46)
    letter = _letter(name, height, rng, printed=True)
    parts = [(name, _turned(_placed(letter, CELL / 2, CELL / 2), rng.normal(0, 3), False))]
    return parts + _frame(height, rng, 0.35)


def _marker(rng: Rng) -> list[tuple[str, Ink]]:
    """A lead letter at any angle, often mirrored, with or without initials beside it, or in a frame."""
    name = str(rng.choice(list("LRLRLRDI" + LEAD)))
    height = rng.uniform(16, 44)
    parts = [(name, _placed(_letter(name, height, rng), CELL / 2, CELL / 2))]
    if rng.random() < 0.35:
        initials, size = rng.choice(list(LEAD), int(rng.integers(1, 4))), height * rng.uniform(0.4, 0.7)
        x, y = CELL / 2 + rng.uniform(-0.5, 0.9) * height, CELL / 2 + rng.choice([-1, 1]) * 0.9 * height
        for i, initial in enumerate(initials):
            parts.append((str(initial), _placed(_letter(str(initial), size, rng), x + i * size * 0.95, y)))
    else:
        parts += _frame(height, rng, 0.3)
    angle, mirrored = (
        float(rng.uniform(-180, 180)) if rng.random() < 0.6 else float(rng.normal(0, 8)),
        rng.random() < 0.4,
    )
    return [(name, _turned(part, angle, bool(mirrored))) for name, part in parts]


def _word(rng: Rng) -> list[tuple[str, Ink]]:
    """Letters in a row, tightly set."""
    size, font = rng.uniform(9, 26), int(rng.integers(1 << 30))
    x, y, parts = rng.uniform(4, 12), rng.uniform(20, CELL - 20), []
    while x < CELL - size:
        name = str(rng.choice(list(_WORD)))
        letter = _letter(name, size, np.random.default_rng(font), printed=True)
        x += letter.shape[1] / 2
        parts.append((name, _placed(letter, x, y)))
        x += letter.shape[1] / 2 + max(1.0, size * rng.uniform(0.05, 0.16))
    return parts


def _letter(name: str, height: float, rng: Rng, printed: bool = False) -> Ink:
    """Tight ink of one letter: from a font, or of lines of even thickness as lead letters are."""
    if printed or rng.random() < 0.5:
        face = _font(str(rng.choice(FONTS)), round(height * 1.35))
        left, top, right, bottom = (round(value) for value in face.getbbox(name))
        picture = Image.new("L", (right - left + 4, bottom - top + 4))
        ImageDraw.Draw(picture).text((2 - left, 2 - top), name, fill=255, font=face)
        ink = np.asarray(picture)
    else:
        scale, thick = height / 21, max(1, round(height * rng.uniform(0.08, 0.24)))
        ink = np.zeros((CELL, CELL), np.uint8)
        font = LINES[int(rng.integers(len(LINES)))]
        cv2.putText(ink, name, (CELL // 4, 3 * CELL // 4), font, scale, 255, thick, cv2.LINE_AA)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    wide = max(2, round(ink.shape[1] * rng.uniform(0.75, 1.25)))
    return np.asarray(cv2.resize(ink, (wide, ink.shape[0]), interpolation=cv2.INTER_AREA))


@cache
def _font(name: str, size: int) -> Any:
    if not name:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


def _placed(letter: Ink, x: float, y: float) -> Ink:
    """The letter on an empty cell with its centre at (x, y)."""
    height, width = letter.shape
    move = np.array([[1, 0, x - width / 2], [0, 1, y - height / 2]], dtype=np.float32)
    return np.asarray(cv2.warpAffine(letter, move, (CELL, CELL)))


def _turned(cell: Ink, angle: float, mirrored: bool) -> Ink:
    around = cv2.getRotationMatrix2D((CELL / 2, CELL / 2), angle, 1.0)
    turned = cv2.warpAffine(cell, around, (CELL, CELL))
    return np.asarray(turned[:, ::-1] if mirrored else turned)


def _frame(height: float, rng: Rng, share: float) -> list[tuple[str, Ink]]:
    """A circle or box around the middle of the cell, or nothing."""
    if rng.random() > share:
        return []
    cell, reach = np.zeros((CELL, CELL), np.uint8), round(min(height * rng.uniform(0.75, 1.05), CELL / 2 - 4))
    centre, line = CELL // 2, max(1, round(height / rng.uniform(8, 16)))
    if rng.random() < 0.6:
        cv2.circle(cell, (centre, centre), reach, 255, line, cv2.LINE_AA)
    else:
        cv2.rectangle(cell, (centre - reach, centre - reach), (centre + reach, centre + reach), 255, line)
    return [("", cell)]


def _print(under: NDArray[np.float32], ink: NDArray[np.float32], rng: Rng) -> None:
    """Ink over a cell in place: brighter or darker than its ground, soft as lead or sharp, at times on a plate."""
    bright, level = rng.random() < 0.7, float(under.mean())
    bright = (bright and level < 200) or level < 50
    if rng.random() < 0.12:
        level = float(rng.uniform(0, 60) if bright else rng.uniform(140, 255))
        m = int(rng.integers(2, 30))
        under[m : CELL - m, m : CELL - m] = level
    room = 255 - level if bright else level
    step = (1 if bright else -1) * rng.uniform(min(35, room), room)
    soft = cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.2, 1.4)) if rng.random() < 0.6 else ink
    solid = rng.random() < 0.6  # covered, or shone through
    under[:] = under * (1 - soft) + (level + step) * soft if solid else np.clip(under + step * soft, 0, 255)


def _label(box: Corners, owners: NDArray[np.int32], names: list[str]) -> str | None:
    """Class of a stroke: the letter whose ink it is; none; None when it is part of one or several."""
    x0, y0, x1, y1 = box
    part = owners[y0:y1, x0:x1]
    inked = np.bincount(part[part > 0].ravel(), minlength=1)
    if inked.sum() <= STRAY * part.size:
        return NONE
    winner = int(inked.argmax())
    place = np.argwhere(owners == winner)
    (top, left), (bottom, right) = place.min(axis=0), place.max(axis=0) + 1
    overlap = max(0, min(x1, right) - max(x0, left)) * max(0, min(y1, bottom) - max(y0, top))
    iou = overlap / ((x1 - x0) * (y1 - y0) + (right - left) * (bottom - top) - overlap)
    if iou >= MATCH:
        name = "C" if names[winner] == "c" else names[winner]
        return name if name in CLASSES else OTHER
    return None
