from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from pipeline.errors import EmptyResultError, InputError
from pipeline.flag.behaviour import spray_graph
from pipeline.flag.behaviour.spray import Clustering, cluster_maps, fisher_ratio, rank_classes
from pipeline.flag.behaviour.spray_graph import eigengap, partition, pooled, resampled, spectrum, squared_distances

SIDE = 32
Y, X = np.mgrid[:SIDE, :SIDE]
TOKEN, LUNG = (4, 4), (20, 12)


def blob(x: float, y: float, width: float) -> np.ndarray:
    return np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * width**2))


def strategies(counts: dict[tuple[int, int], int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Maps that point, with jitter and noise, at as many places; and which place each points at."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(counts)), list(counts.values()))
    rng.shuffle(truth)
    places = list(counts)
    maps = [blob(*(np.array(places[t]) + rng.normal(0, 0.8, 2)), 2.0) for t in truth]
    return np.array(maps) + 0.05 * np.abs(rng.normal(size=(len(truth), SIDE, SIDE))), truth


def one_strategy(kind: str, count: int, seed: int) -> np.ndarray:
    """One strategy that varies without a break: in place, along a line, in size, over an area, or only by noise."""
    rng = np.random.default_rng(seed)
    draws = {
        "place": lambda: blob(*rng.normal(16, 2, 2), 3.0),
        "line": lambda: blob(rng.uniform(4, 28), 16, 2.5),
        "size": lambda: blob(16, 16, np.exp(rng.uniform(0.3, 2.0))),
        "area": lambda: blob(*rng.uniform(6, 26, 2), 3.0),
        "noise": lambda: np.zeros((SIDE, SIDE)),
    }
    return np.array([draws[kind]() + 0.02 * np.abs(rng.normal(size=(SIDE, SIDE))) for _ in range(count)])


def names(count: int) -> list[str]:
    return [f"image-{number:04d}" for number in range(count)]


def frame(ids: list[str], **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"image_id": ids, **columns})


def cluster(maps: np.ndarray, **columns: object) -> Clustering:
    return cluster_maps(maps, names(len(maps)), frame(names(len(maps)), **columns), seed=0)


def test_two_planted_strategies_are_recovered() -> None:
    maps, truth = strategies({TOKEN: 30, LUNG: 50})
    found = cluster(maps)
    assert adjusted_rand_score(truth, found.labels) > 0.95
    assert [each.size for each in found.clusters] == [50, 30]
    peak = np.unravel_index(np.argmax(found.clusters[1].mean_map), (28, 28))
    assert np.abs(np.array(peak) - np.array(TOKEN[::-1]) * 28 / SIDE).max() <= 2


def test_three_strategies_are_recovered() -> None:
    maps, truth = strategies({TOKEN: 25, LUNG: 40, (26, 26): 30})
    assert adjusted_rand_score(truth, cluster(maps).labels) > 0.95


@pytest.mark.parametrize("kind", ["place", "size", "area", "noise"])
def test_one_strategy_stays_one(kind: str) -> None:
    found = cluster(one_strategy(kind, 60, 3))
    assert len(found.clusters) == 1
    assert found.fisher == 0
    assert "one strategy" in found.note


@pytest.mark.slow
@pytest.mark.parametrize("count", [30, 60, 120])
@pytest.mark.parametrize("kind", ["place", "line", "size", "area", "noise"])
def test_a_false_gap_is_as_rare_as_promised(kind: str, count: int) -> None:
    """At most 5 % in truth: of 200 more than 18 then have a chance below 1 %."""
    rows = (one_strategy(kind, count, seed) for seed in range(200))
    features = (pooled(maps).reshape(count, -1) for maps in rows)
    false = sum(partition(each / each.sum(axis=1, keepdims=True), 0).labels.max() > 0 for each in features)
    assert false <= 18


def test_result_does_not_depend_on_order() -> None:
    maps, _ = strategies({TOKEN: 20, LUNG: 30})
    ids, order = names(50), np.random.default_rng(5).permutation(50)
    table = frame(ids, source=["a", "b"] * 25)
    straight = cluster_maps(maps, ids, table, seed=1)
    mixed = cluster_maps(maps[order], [ids[i] for i in order], table.sample(frac=1, random_state=2), seed=1)
    assert np.array_equal(straight.labels[order], mixed.labels)
    assert straight.records() == mixed.records()


def test_as_many_zero_eigenvalues_as_components() -> None:
    corners = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]])
    points = np.concatenate([corner + np.random.default_rng(0).normal(size=(15, 2)) for corner in corners])
    values, _ = spectrum(squared_distances(points), 4)
    assert (values < 1e-9).sum() == 3
    assert eigengap(values) == (3, pytest.approx(0, abs=1e-6))


def test_eigenvalues_of_a_complete_graph() -> None:
    """Every point next to every other: L has 0 once and n / (n - 1) otherwise."""
    values, _ = spectrum(squared_distances(np.eye(6)), 5)
    assert values == pytest.approx([0, *[6 / 5] * 5], abs=1e-12)


def test_identical_maps_are_one_strategy_and_two_kinds_of_them_two() -> None:
    alike = np.repeat(blob(*LUNG, 2.0)[None], 20, axis=0)
    assert len(cluster(alike).clusters) == 1
    both = np.concatenate([alike, np.repeat(blob(*TOKEN, 2.0)[None], 20, axis=0)])
    assert [each.size for each in cluster(both).clusters] == [20, 20]


@pytest.mark.parametrize("count", [1, 2, 5, 11])
def test_too_few_maps_are_one_cluster_that_says_so(count: int) -> None:
    found = cluster(strategies({TOKEN: count - count // 2, LUNG: count // 2})[0])
    assert [each.size for each in found.clusters] == [count]
    assert "too few" in found.note
    assert found.gap is None


def test_maps_without_saliency_are_counted_apart() -> None:
    maps, _ = strategies({TOKEN: 20, LUNG: 20})
    maps[[3, 7]] = -1.0
    found = cluster(maps)
    assert np.flatnonzero(found.labels == -1).tolist() == [3, 7]
    assert sum(each.size for each in found.clusters) == 38
    with pytest.raises(EmptyResultError, match="None of the 40 maps"):
        cluster(np.zeros_like(maps))
    with pytest.raises(EmptyResultError, match="no saliency maps"):
        cluster(maps[:0])


def test_metadata_that_goes_with_a_strategy_is_named() -> None:
    maps, truth = strategies({TOKEN: 30, LUNG: 50})
    rng = np.random.default_rng(1)
    found = cluster(maps, marker=np.where(truth == 0, "yes", "no"), sex=rng.choice(["F", "M"], 80))
    small = found.clusters[1]
    assert (small.purity[0].column, small.purity[0].value, small.purity[0].count) == ("marker", "yes", 30)
    assert small.purity[0].expected == 30 / 80
    assert small.purity[0].p_value == pytest.approx(0.001)
    assert "pure" in small.flags
    sex = next(each for each in small.purity if each.column == "sex")
    assert sex.p_value > 0.05


def test_metadata_by_chance_is_rarely_called_pure() -> None:
    """Maps in two true clusters, metadata drawn at random: a p-value of at most 0.05 in about 5 % of draws."""
    maps, _ = strategies({TOKEN: 12, LUNG: 28})
    least = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        columns = {name: rng.choice(list("abc"), 40, p=[0.8, 0.1, 0.1]) for name in ("source", "view", "marker")}
        found = cluster_maps(maps, names(40), frame(names(40), **columns), seed=seed)
        least.append(min(each.p_value for part in found.clusters for each in part.purity))
    assert np.mean(np.array(least) <= 0.05) <= 0.15


def test_many_images_of_few_patients_prove_nothing() -> None:
    """Two patients of 20 images, each with its own map and its own source: 40 images, but 2 independent ones."""
    maps, truth = strategies({TOKEN: 20, LUNG: 20})
    who = np.where(truth == 0, "p", "q")
    alone = cluster(maps, source=who).clusters[0].purity[0]
    together = cluster(maps, source=who, patient_id=who).clusters[0].purity[0]
    assert alone.p_value == pytest.approx(0.001)
    assert together.p_value > 0.3


def test_mass_outside_the_lungs() -> None:
    maps, truth = strategies({TOKEN: 30, LUNG: 50})
    lungs = np.zeros((80, 64, 64), dtype=bool)
    lungs[:, 8:40, 24:56] = True  # around LUNG, a quarter of the picture
    table = frame(names(80))
    found = cluster_maps(maps, names(80), table, seed=0, lungs=lungs)
    inside, token = found.clusters
    assert token.outside_lungs is not None
    assert inside.outside_lungs is not None
    inner = maps[:, 4:20, 12:28].sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
    assert token.outside_lungs.mean == pytest.approx(1 - inner[truth == 0].mean())
    assert token.outside_lungs.low < token.outside_lungs.mean < token.outside_lungs.high
    assert inside.area_outside_lungs == pytest.approx(0.75)
    assert "outside-lungs" in token.flags
    assert "outside-lungs" not in inside.flags


def test_unknown_lungs_are_left_out() -> None:
    maps, _ = strategies({TOKEN: 1, LUNG: 1})
    lungs = np.zeros((2, SIDE, SIDE), dtype=bool)
    lungs[1, :16] = True
    (one,) = cluster_maps(maps, names(2), frame(names(2)), seed=0, lungs=lungs).clusters
    assert one.outside_lungs is not None
    assert one.outside_lungs.n == 1
    (none,) = cluster_maps(maps, names(2), frame(names(2)), seed=0, lungs=np.zeros_like(lungs)).clusters
    assert none.outside_lungs is not None
    assert (none.outside_lungs.mean, none.outside_lungs.n) == (None, 0)


def test_region_composition_counts_overlaps_once() -> None:
    maps = np.ones((2, SIDE, SIDE))
    maps[0, :8, :8] = 3.0
    boxes = [("image-0000", "side", 0, 0, 8, 8), ("image-0000", "side", 4, 4, 8, 8), ("other", "word", 0, 0, 1, 1)]
    regions = pd.DataFrame(boxes, columns=["image_id", "kind", "x0", "y0", "x1", "y1"])
    (one,) = cluster_maps(maps, names(2), frame(names(2)), seed=0, regions=regions).clusters
    (side,) = one.composition
    mass = 64 * 3 / (64 * 3 + SIDE**2 - 64)
    assert side.images == 1
    assert side.mass.mean == pytest.approx(mass / 2)
    assert side.area == pytest.approx(64 / SIDE**2 / 2)
    assert side.enrichment == pytest.approx(mass / (64 / SIDE**2))


def test_focused_and_flat_maps() -> None:
    maps, _ = strategies({TOKEN: 20})
    sharp = np.where(maps > 0.4, maps, 0)
    assert "focused" in cluster(sharp).clusters[0].flags
    flat = cluster(np.ones((3, SIDE, SIDE))).clusters[0]
    assert flat.concentration == pytest.approx(0.05, abs=0.01)
    assert flat.flags == ()


def test_nearest_images_come_first() -> None:
    maps = np.stack([blob(16, 16, 3), blob(16.5, 16, 3), blob(20, 16, 3)])
    assert cluster(maps).clusters[0].nearest == ("image-0001", "image-0000", "image-0002")


def test_classes_are_ranked_by_how_far_apart_strategies_lie() -> None:
    apart = cluster(strategies({TOKEN: 30, LUNG: 30})[0])
    near = cluster(strategies({(12, 12): 30, (17, 12): 30})[0])
    one = cluster(one_strategy("place", 60, 0))
    assert rank_classes({"one": one, "near": near, "apart": apart})[0] == "apart"
    assert rank_classes({"one": one, "near": near, "apart": apart})[-1] == "one"
    line = np.array([[0.0], [2.0], [10.0], [12.0]])
    assert fisher_ratio(line, np.array([0, 0, 1, 1])) == pytest.approx(100 / 4)


def test_records_are_json() -> None:
    maps, truth = strategies({TOKEN: 20, LUNG: 20})
    record = cluster(maps, source=truth).records()
    assert json.loads(json.dumps(record, allow_nan=False))["clusters"][0]["size"] == 20


def test_pooling_keeps_the_sum_also_where_cells_do_not_fit() -> None:
    maps = np.random.default_rng(0).random((2, 45, 61))
    assert pooled(maps).shape == (2, 28, 28)
    assert pooled(maps).sum(axis=(1, 2)) == pytest.approx(maps.sum(axis=(1, 2)))
    assert pooled(np.arange(4.0).reshape(1, 2, 2), 1).item() == 6
    half = np.zeros((1, 2, 4), dtype=bool)
    half[:, :, :1] = True
    assert resampled(half, (1, 2)).tolist() == [[[0.5, 0.0]]]


def test_the_simulated_line_is_the_same_for_nearby_numbers_of_maps() -> None:
    assert max(spray_graph.SIMULATED_MAPS) <= 300
    assert spray_graph.SIMULATED_MAPS[0] // 4 >= spray_graph.NEIGHBOURS, "the graph and the line need one k"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {**a, "maps": a["maps"][:3]}, "n image ids"),
        (lambda a: {**a, "maps": a["maps"] * np.nan}, "NaN"),
        (lambda a: {**a, "image_ids": ["x"] * 4}, "twice"),
        (lambda a: {**a, "metadata": a["metadata"].iloc[:2]}, "2 of 4 are missing"),
        (lambda a: {**a, "metadata": pd.DataFrame({"source": list("abcd")})}, "column image_id"),
        (lambda a: {**a, "lungs": np.zeros((3, 8, 8), dtype=bool)}, "Give lungs"),
    ],
)
def test_bad_input_is_refused(change, message: str) -> None:
    arguments = {"maps": np.ones((4, 8, 8)), "image_ids": names(4), "metadata": frame(names(4))}
    with pytest.raises(InputError, match=message):
        cluster_maps(**change(arguments), seed=0)
