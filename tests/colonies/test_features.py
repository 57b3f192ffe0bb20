"""Hand-crafted features against hand calculations and scikit-image; the model on them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
from scipy.special import softmax
from skimage.feature import graycomatrix

from unstained.colonies import feature_model, features
from unstained.colonies.crops import ArrayCrops, Patches
from unstained.colonies.feature_model import FeatureModel
from unstained.colonies.features import feature_names, patch_features
from unstained.colonies.settings import ClassifierSettings
from unstained.colonies.training_data import TrainingData
from unstained.errors import InputError, ModelError


def of(patch):
    """The features of one plane by name."""
    found = patch_features(np.asarray(patch, np.float32)[None, None])[0]
    names = [name.removeprefix("plane 0: ") for name in feature_names(1)]
    return dict(zip(names, found.tolist(), strict=True))


def disk(side, center, radius):
    y, x = np.indices((side, side))
    return (np.hypot(y - center[0], x - center[1]) <= radius).astype(float)


def test_mirrors_and_quarter_turns_leave_all_features():
    rng = np.random.default_rng(0)
    patch = scipy.ndimage.gaussian_filter(rng.normal(size=(2, 2, 24, 24)), (0, 0, 1, 1))
    patch[:, :, 5:12, 4:16] += 1
    expected = patch_features(patch)
    turned = [np.rot90(patch, n, axes=(2, 3)) for n in range(4)]
    for moved in [*turned, *(view[..., ::-1] for view in turned)]:
        np.testing.assert_allclose(patch_features(moved), expected, rtol=2e-3, atol=2e-4)


def test_each_plane_has_its_own_columns_in_the_order_of_the_names():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 2, 16, 16)).astype(np.float32)
    found, names = patch_features(x), feature_names(2)
    assert found.shape == (3, len(names))
    assert len(set(names)) == len(names)
    half = len(names) // 2
    np.testing.assert_array_equal(found[:, half:], patch_features(x[:, 1:]))
    at = names.index("plane 1: grey mean")
    np.testing.assert_allclose(found[:, at], x[:, 1].mean(axis=(1, 2)), rtol=1e-4)


def test_many_patches_at_once_are_each_as_if_alone():
    x = np.random.default_rng(2).normal(size=(300, 1, 8, 8))  # more than one block
    np.testing.assert_allclose(patch_features(x)[299], patch_features(x[299:])[0], atol=1e-4)


def test_a_patch_of_one_grey_value_has_finite_features():
    assert np.isfinite(patch_features(np.full((1, 1, 16, 16), 7.0))).all()


def test_contrast_of_a_checkerboard():
    # -1 and 1 are 8 - 3.2 -> level 4 and 8 + 3.2 -> level 11: squared difference 49 between
    # side neighbors, 0 on the diagonals; of the pairs 2 * 16 * 15 are side, 2 * 15 * 15 diagonal
    y, x = np.indices((16, 16))
    expected = 49 * (2 * 16 * 15) / (2 * 16 * 15 + 2 * 15 * 15)
    found = of((-1.0) ** (y + x))
    assert found["co-occurrence 1 px contrast"] == pytest.approx(expected, rel=1e-5)
    assert found["co-occurrence 2 px contrast"] == pytest.approx(0, abs=1e-6)
    assert found["co-occurrence 2 px correlation"] == pytest.approx(1, rel=1e-4)


def test_co_occurrence_is_scikit_images():
    patch = np.random.default_rng(3).normal(size=(20, 20)).astype(np.float32)
    level = np.clip((patch - patch.mean()) / patch.std() * 3.2 + 8, 0, 15).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    counts = graycomatrix(level, [1], angles, levels=16, symmetric=True)[:, :, 0].sum(axis=2)
    p = counts / counts.sum()
    i, j = np.indices((16, 16))
    found = of(patch)
    assert found["co-occurrence 1 px contrast"] == pytest.approx((p * (i - j) ** 2).sum(), rel=1e-3)
    homogeneity = (p / (1 + (i - j) ** 2)).sum()
    assert found["co-occurrence 1 px homogeneity"] == pytest.approx(homogeneity, rel=1e-3)
    entropy = -(p[p > 0] * np.log2(p[p > 0])).sum()
    assert found["co-occurrence 1 px entropy"] == pytest.approx(entropy, rel=1e-3)


def test_a_filter_by_matrices_is_scipys():
    x = np.random.default_rng(4).normal(size=(2, 17, 17)).astype(np.float32)
    blobs = sum(features._filtered(x, 1.6, (2, 0), (0, 2)))
    expected = 1.6**2 * scipy.ndimage.gaussian_laplace(x[1].astype(float), 1.6, mode="reflect")
    np.testing.assert_allclose(blobs[1], expected, atol=1e-5)


def test_a_ridge_counts_the_same_along_an_axis_and_aslant():
    # waves of 12 px; aslant they are in Hxy alone, along an axis in Hxx alone
    y, x = np.indices((96, 96))
    along = of(np.sin(2 * np.pi * x / 12))["ridges 2.5 px mean"]
    aslant = of(np.sin(2 * np.pi * (x + y) / (12 * math.sqrt(2))))["ridges 2.5 px mean"]
    # at the border the reflected wave has no ridge along an axis: 5 % less of them
    assert aslant == pytest.approx(along, rel=0.1)


def test_a_bright_pixel_has_pattern_0_and_its_neighbors_are_edges():
    # of 14 x 14 inner pixels one is brighter than its eight neighbors, and those each have seven
    # or eight as bright as themselves or brighter: all eight. Elsewhere all are equal: eight
    patch = np.zeros((16, 16))
    patch[8, 8] = 1
    found = of(patch)
    assert found["binary pattern 1 px 0"] == pytest.approx(1 / 14**2)
    assert found["binary pattern 1 px 8"] == pytest.approx(1 - 1 / 14**2)


def test_a_wave_has_its_power_in_the_ring_of_its_frequency():
    # 8 waves over 32 px: ring 10 log(8) / log(0.707 * 32) = 6.7, the one from 6 to 7
    wave = np.sin(2 * np.pi * 8 * np.arange(32) / 32)[None].repeat(32, axis=0)
    found = of(wave)
    rings = [found[f"spectrum log ring {r}"] for r in range(10)]
    assert int(np.argmax(rings)) == 6


def test_an_object_has_the_area_and_axes_of_a_disk():
    # a disk of radius 10: area 314 px, both axes 20 px
    found = of(disk(40, (19, 21), 10))
    assert found["object log area"] == pytest.approx(math.log(math.pi * 100), abs=0.15)
    assert found["object major axis"] == pytest.approx(20, abs=1.5)
    assert found["object elongation"] == pytest.approx(1, abs=0.05)
    assert found["object solidity"] > 0.95
    assert found["object parts"] == pytest.approx(math.log(2))


def test_two_daughter_cells_are_two_parts_and_elongated():
    found = of(disk(40, (11, 20), 6) + disk(40, (28, 20), 6))
    assert found["object parts"] == pytest.approx(math.log(3))
    assert found["object share of the largest part"] < 0.5
    assert found["object elongation"] > 2


def test_a_bar_in_a_cell_shows_in_the_second_harmonic_however_it_lies():
    cell = disk(40, (20, 20), 14)
    bar, y = cell.copy(), np.indices((40, 40))[0]
    bar[(np.abs(y - 20) <= 1) & (cell > 0)] = 3
    turned = scipy.ndimage.rotate(bar, 30, reshape=False, order=1)
    plain, along, across = (of(x)["rings 2-3 harmonic 2"] for x in (cell, bar, turned))
    assert along > 10 * plain + 0.1
    assert across == pytest.approx(along, rel=0.15)


def test_a_round_cell_has_no_grain_without_its_profile_and_a_bar_in_it_has():
    # rings of any shape are gone, wherever the cell lies; of the bar, what no ring has is left
    y, x = np.indices((40, 40))
    away = np.hypot(y - 18.3, x - 21.6)
    cell = 2 * np.exp(-((away - 9) ** 2) / 8) - np.exp(-((away / 5) ** 2))
    bar = cell + 6 * np.exp(-(((y - 18.3) / 1.5) ** 2) - ((x - 21.6) / 6) ** 2)
    for kind in ("gradient", "ridges"):
        name = f"{kind} 1.6 px mean"
        rest = f"without profile {name}"
        assert of(cell)[rest] < 0.1 * of(cell)[name]
        assert of(bar)[rest] > 5 * of(cell)[rest]


def test_a_radial_profile_is_the_mean_at_each_distance_each_pixel_shared_by_two():
    # 3 x 3 about the middle: distances 0, four times 1, four times sqrt(2) = 1.414
    patch = np.array([[[4.0, 1, 8], [2, 5, 4], [8, 5, 0]]])
    middle = np.zeros((1, 3, 3), bool)
    middle[0, 1, 1] = True
    far = math.sqrt(2) - 1  # what a corner counts at distance 2; 1 - far at distance 1
    at_1 = (12 + (1 - far) * 20) / (4 + (1 - far) * 4)  # sides sum to 12, corners to 20
    corner = (1 - far) * at_1 + far * 5  # at distance 2 there are corners alone, mean 5
    expected = [[corner, at_1, corner], [at_1, 5, at_1], [corner, at_1, corner]]
    both = np.concatenate([patch, patch + 100]).astype(np.float32)
    found = features._radial_profile(both, middle.repeat(2, axis=0))
    np.testing.assert_allclose(found, [expected, np.add(expected, 100)], rtol=1e-5)


def test_patches_that_are_too_small_or_not_finite_are_refused():
    with pytest.raises(InputError, match="8 px"):
        patch_features(np.zeros((1, 1, 4, 4)))
    with pytest.raises(InputError, match="not finite"):
        patch_features(np.full((1, 1, 8, 8), np.nan))


def data_of(counts=(12, 12, 4), hidden=(60, 60, 8), validation=4, **changes):
    """Three textures: labelled, validation and unlabelled images of 16 x 16 (or larger)."""
    rng = np.random.default_rng(5)
    sigma = (0.0, 0.7, 1.2)
    images, y, part = [], [], []
    for k in range(len(counts)):
        for name, n in (("l", counts[k]), ("v", validation), ("u", hidden[k])):
            for _ in range(n):
                noise = scipy.ndimage.gaussian_filter(rng.normal(size=(16, 16)), sigma[k])
                images.append(100 + 10 * noise / noise.std())
                y.append(k)
                part.append(name)
    y, part = np.array(y), np.array(part)
    labelled, asked, unlabelled = (np.flatnonzero(part == name) for name in "lvu")
    settings = ClassifierSettings.of_method("features", **changes)
    patches = Patches(ArrayCrops(images), 16, 0.0)
    normalizer = TrainingData.fit_normalizer(patches, labelled, settings)
    data = TrainingData(
        patches=patches,
        labelled=labelled,
        labelled_y=y[labelled],
        validation=asked,
        validation_y=y[asked],
        unlabelled=unlabelled,
        classes=len(counts),
        settings=settings,
        normalizer=normalizer,
        groups=labelled,
    )
    return data, y


def predicted(model, data, indices):
    return model.probabilities(data.patches, indices, data.normalizer, data.settings, views=4)


def test_textures_of_unequal_number_are_told_apart():
    data, y = data_of()
    p = predicted(FeatureModel.fit(data), data, data.unlabelled)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    true = y[data.unlabelled]
    recall = [(p[true == k].argmax(axis=1) == k).mean() for k in range(3)]
    assert np.mean(recall) > 0.9


def test_a_model_comes_back_from_its_arrays():
    data, _ = data_of()
    model = FeatureModel.fit(data)
    arrays = model.to_tensors()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    again = FeatureModel.from_tensors(arrays)
    expected = predicted(model, data, data.validation)
    np.testing.assert_array_equal(predicted(again, data, data.validation), expected)
    del arrays["root"]
    with pytest.raises(ModelError, match="root"):
        FeatureModel.from_tensors(arrays)


def test_equal_seeds_give_equal_models():
    first, second = (FeatureModel.fit(data_of()[0]).to_tensors() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array)


def test_two_classes_have_the_probabilities_of_scikit_learns_regression():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(6)
    x, y, weight = rng.normal(size=(30, 4)), np.arange(30) % 2, rng.uniform(1, 2, 30)
    weights, offset = feature_model._regression(x, y, weight)
    other = LogisticRegression(C=30, max_iter=1000).fit(x, y, sample_weight=weight)
    np.testing.assert_allclose(softmax(x @ weights + offset, axis=1), other.predict_proba(x))


def test_the_map_has_the_kernel_as_its_inner_product_at_the_landmarks():
    x = np.random.default_rng(7).normal(size=(20, 6))
    model = feature_model._new(x, 2, seed=0)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = np.exp(-0.1 / 6 * ((z[:, None] - z) ** 2).sum(axis=2))
    np.testing.assert_allclose(model._map(x) @ model._map(x).T, expected, atol=1e-6)


def test_an_image_with_several_places_has_the_mean_over_its_patches():
    data, _ = data_of()
    model = FeatureModel.fit(data)
    halves = [data.patches.crops.read(int(i)).pixels[0] for i in data.labelled[[0, -1]]]
    mask = np.zeros((16, 40), bool)
    mask[8, [8, 31]] = True  # patches are centered here: columns 0 to 15 and 23 to 38
    wide = np.full((16, 40), 100.0)
    wide[:, :16], wide[:, 23:39] = halves
    both = Patches(ArrayCrops([wide], [mask]), 16, 0.0)
    # no more than two patches, as it has two places; with this seed both are drawn
    settings = replace(data.settings, seed=0)
    found = model.probabilities(both, np.array([0]), data.normalizer, settings, views=64)
    alone = Patches(ArrayCrops(halves), 16, 0.0)
    each = model.probabilities(alone, np.array([0, 1]), data.normalizer, settings, views=1)
    assert np.abs(each[0] - each[1]).max() > 0.5
    np.testing.assert_allclose(found[0], each.mean(axis=0), atol=1e-3)


def test_calibration_shifts_towards_a_class_that_is_found_too_rarely():
    # class 1 has half of its logits at -1, class 0 all at -2 and lower: a shift tells them apart
    y = np.repeat([0, 1], [40, 10])
    z = np.concatenate([np.linspace(-6, -2, 40), np.linspace(-1.5, 1, 10)])
    scale, shift = feature_model._calibration(np.stack([-z / 2, z / 2], axis=1), y)
    assert shift[1] - shift[0] > 0.5
    assert scale > 0


def test_confident_pseudo_labels_weigh_the_same_in_each_class(monkeypatch):
    data, _ = data_of()
    seen = []
    regression = feature_model._regression

    def spy(x, y, weight):
        seen.append(np.bincount(y, weights=weight, minlength=3))
        return regression(x, y, weight)

    monkeypatch.setattr(feature_model, "_regression", spy)
    FeatureModel.fit(data)
    # 28 labelled images, a third of their weight for each class; in the rounds as much again
    # (the rare class's 4 images leave none to calibrate on, so there is no cross-validation)
    assert len(seen) == 1 + 3
    assert seen[0] == pytest.approx([28 / 3] * 3)
    assert seen[-1] == pytest.approx([2 * 28 / 3] * 3)


def rounds_of(data, monkeypatch):
    """The model that is kept, and all rounds."""
    made = []
    self_training = feature_model._self_training

    def spy(*parts):
        made.extend(self_training(*parts))
        return made

    monkeypatch.setattr(feature_model, "_self_training", spy)
    return FeatureModel.fit(data), made


def test_the_round_is_kept_that_is_best_on_labelled_images_left_out(monkeypatch):
    data, _ = data_of(counts=(12, 12, 12), validation=0)
    kept, made = rounds_of(data, monkeypatch)
    losses = [round_.loss for round_ in made]
    assert len(losses) == 1 + 3
    assert np.isfinite(losses).all()  # each was judged by its own folds
    assert np.argmin(losses) < 3  # else the last would be kept by chance
    assert kept is made[int(np.argmin(losses))].model


def test_with_too_few_images_to_leave_any_out_the_validation_part_tells(monkeypatch):
    data, _ = data_of()  # 4 of a class
    kept, made = rounds_of(data, monkeypatch)
    p = [predicted(round_.model, data, data.validation) for round_ in made]
    losses = [feature_model._balanced_loss(each, data.validation_y) for each in p]
    assert kept is made[int(np.argmin(losses))].model


def test_without_validation_the_last_round_is_kept(monkeypatch):
    data, _ = data_of(validation=0)
    kept, made = rounds_of(data, monkeypatch)
    assert kept is made[-1].model


def test_self_training_does_not_make_it_sure_of_classes_that_mean_nothing(monkeypatch):
    # noise with labels by chance: what the rounds say of new images has to stay near 1 / 2
    rng = np.random.default_rng(0)
    images = list(100 + 10 * rng.normal(size=(300, 16, 16)))
    settings = ClassifierSettings.of_method("features", threshold=0.5)
    patches, at = Patches(ArrayCrops(images), 16, 0.0), np.arange(300)
    data = TrainingData(
        patches=patches,
        labelled=at[:40],
        labelled_y=at[:40] % 2,
        validation=at[:0],
        validation_y=at[:0],
        unlabelled=at[40:200],
        classes=2,
        settings=settings,
        normalizer=TrainingData.fit_normalizer(patches, at, settings),
        groups=at[:40],
    )
    _, made = rounds_of(data, monkeypatch)
    assert len(made) == 1 + 3
    for round_ in made:
        assert predicted(round_.model, data, at[200:]).max(axis=1).mean() < 0.65


def test_one_labelled_image_of_a_class_is_learned_too():
    data, _ = data_of(counts=(12, 12, 1))
    found = predicted(FeatureModel.fit(data), data, data.labelled)
    assert found[-1].argmax() == 2


def test_no_unlabelled_images_is_plain_regression():
    data, _ = data_of(counts=(12, 12, 12), validation=20)
    data = replace(data, unlabelled=np.empty(0, int))
    found = predicted(FeatureModel.fit(data), data, data.validation).argmax(axis=1)
    assert (found == data.validation_y).mean() > 0.8


def test_near_copies_within_a_well_do_not_make_it_sure_of_itself():
    # 24 images whose classes mean nothing, each four times: left out one by one, every image
    # finds its copies among the learned; left out as wells, none does
    rng = np.random.default_rng(0)
    one_each = [scipy.ndimage.gaussian_filter(rng.normal(size=(16, 16)), 0.8) for _ in range(24)]
    noise = np.repeat(one_each, 4, axis=0)
    images = list(100 + 10 * noise + 0.01 * rng.normal(size=noise.shape))
    y, well = np.tile(np.repeat([0, 1], 4), 12), np.repeat(np.arange(24), 4)
    settings = ClassifierSettings.of_method("features", validation=0.0)
    patches = Patches(ArrayCrops(images), 16, 0.0)
    at = np.arange(96)
    data = TrainingData(
        patches=patches,
        labelled=at,
        labelled_y=y,
        validation=at[:0],
        validation_y=y[:0],
        unlabelled=at[:0],
        classes=2,
        settings=settings,
        normalizer=TrainingData.fit_normalizer(patches, at, settings),
        groups=well,
    )
    by_well = predicted(FeatureModel.fit(data), data, at).max(axis=1).mean()
    by_image = predicted(FeatureModel.fit(replace(data, groups=at)), data, at).max(axis=1).mean()
    assert by_image > 0.9
    assert by_well < by_image - 0.1


def test_advice_is_what_the_model_says_of_the_unlabelled():
    data, _ = data_of()
    model, advice = FeatureModel.fit_and_advise(data)
    np.testing.assert_array_equal(advice, predicted(model, data, data.unlabelled))
