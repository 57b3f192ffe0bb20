"""The classifier as a user meets it: trainings of seconds on textures of 24 x 24 px."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from unstained.colonies.balance import geometric_mean
from unstained.colonies.classifier import ColonyClassifier, _features_of, _rounds_of
from unstained.colonies.crops import ArrayCrops
from unstained.colonies.examples import Examples, load_examples
from unstained.colonies.model_files import Advised, model_tensors
from unstained.errors import DataError, FileError, InputError, ModelError
from unstained.learning.loop import Progress
from unstained.learning.training_folder import NOTE

SIDE = 24
QUICK: dict[str, Any] = {
    "batch": 12,
    "unlabelled_batch": 16,
    "pretrain_steps": 30,
    "steps": 14,  # two epochs of 105 images
    "precision": "float32",
}


def textures(n: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """n images of noise of grains of 1, 2, 4 px, and the class of each: 70, 20, 10 %."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([0, 1, 2], [n - n // 5 - n // 10, n // 5, n // 10]))
    images = []
    for code in y:
        grain = 2 ** int(code)
        coarse = rng.normal(100, 20, (SIDE // grain, SIDE // grain))
        images.append(np.kron(coarse, np.ones((grain, grain))).astype(np.float32))
    return images, y


def hidden(y: np.ndarray, each: int, seed: int = 0) -> np.ndarray:
    """The codes with all but `each` of every class unknown."""
    rng = np.random.default_rng(seed)
    codes = np.full(y.size, -1)
    for k in np.unique(y):
        shown = rng.permutation(np.flatnonzero(y == k))[:each]
        codes[shown] = k
    return codes


def fitted(seed: int = 0, folder: Path | None = None, **how: Any) -> ColonyClassifier:
    images, y = textures(120)
    fit = {key: how.pop(key) for key in ("resume", "report") if key in how}
    classifier = ColonyClassifier(**{**QUICK, **how, "seed": seed})
    return classifier.fit(images, hidden(y, 5), folder=folder, **fit)


@pytest.fixture(scope="module")
def trained() -> ColonyClassifier:
    return fitted()


def same(a: ColonyClassifier, b: ColonyClassifier) -> bool:
    """Equal weights to the bit."""
    one, other = (model_tensors(c._ready())[0] for c in (a, b))
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def macro_recall(classifier: ColonyClassifier) -> float:
    images, y = textures(90, seed=1)
    found = classifier.predict(images)
    return float(np.mean([(found[y == k] == k).mean() for k in range(3)]))


def test_it_learns_textures_from_four_labels_a_class_in_seconds() -> None:
    classifier = fitted(pretrain_steps=60, steps=60)
    assert classifier.about["labelled"] == [4, 4, 4]
    assert classifier.about["validation"] == [1, 1, 1]
    assert classifier.about["unlabelled"] == 105
    assert macro_recall(classifier) > 0.9  # chance is 1/3


def test_probabilities_sum_to_one_and_are_the_same_when_asked_again(
    trained: ColonyClassifier,
) -> None:
    images, _ = textures(9)
    p = trained.predict_proba(images)
    assert p.shape == (9, 3)
    assert p.sum(axis=1) == pytest.approx(np.ones(9))
    assert np.array_equal(p, trained.predict_proba(images))
    assert np.array_equal(p.argmax(axis=1), trained.predict(images))


def test_the_temperature_is_applied(trained: ColonyClassifier) -> None:
    images, _ = textures(9)
    calibrated = trained.predict_proba(images)
    temperature, trained.temperature = trained.temperature, 1.0
    raw = trained.predict_proba(images)
    trained.temperature = temperature
    power = raw ** (1 / temperature)
    assert calibrated == pytest.approx(power / power.sum(axis=1, keepdims=True), abs=1e-6)


def test_of_no_images_there_are_no_probabilities(trained: ColonyClassifier) -> None:
    assert trained.predict_proba([]).shape == (0, 3)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    trained: ColonyClassifier,
) -> None:
    assert same(trained, fitted())  # the fixture is another run
    assert not same(trained, fitted(seed=1))


class Break(Exception):
    """What a user's Ctrl-C is here."""


@pytest.mark.parametrize(
    ("stage", "step"), [("teacher", 27), ("student", 10), ("refit student", 10)]
)
def test_broken_in_any_stage_and_resumed_it_ends_with_the_same_weights(
    stage: str, step: int, trained: ColonyClassifier, tmp_path: Path
) -> None:
    def report(at: str, progress: Progress) -> None:
        if (at, progress.step) == (stage, step):
            raise Break

    with pytest.raises(Break):
        fitted(folder=tmp_path, report=report)
    resumed = fitted(folder=tmp_path, resume=True)
    assert same(trained, resumed)
    assert resumed.temperature == trained.temperature


def test_a_saved_classifier_gives_the_same_probabilities(
    trained: ColonyClassifier, tmp_path: Path
) -> None:
    images, _ = textures(12, seed=3)
    trained.save(tmp_path / "model")
    loaded = ColonyClassifier.load(tmp_path / "model")
    assert np.array_equal(loaded.predict_proba(images), trained.predict_proba(images))
    assert loaded.settings == trained.settings
    assert loaded.classes == trained.classes
    assert loaded.about == trained.about
    assert np.array_equal(loaded.held.true, trained.held.true)
    sets = [model.conformal(0.8).sets(loaded.predict_proba(images)) for model in (loaded, trained)]
    assert np.array_equal(*sets)


def test_a_loaded_model_takes_the_logarithm_that_it_was_trained_with(tmp_path: Path) -> None:
    images, y = textures(60)
    tailed = [np.exp(image / 15) for image in images]  # log-normal, as scattered light
    known = hidden(y, 5)
    with_it, without = (
        ColonyClassifier("features", seed=0, logarithm=on).fit(tailed, known)
        for on in (True, False)
    )
    p = with_it.predict_proba(tailed)
    with_it.save(tmp_path / "model")
    assert np.array_equal(ColonyClassifier.load(tmp_path / "model").predict_proba(tailed), p)
    assert not np.allclose(without.predict_proba(tailed), p, atol=1e-3)


@pytest.mark.parametrize("method", ["features", "ipb"])
def test_a_model_of_features_that_are_no_longer_measured_is_refused(
    method: str, tmp_path: Path
) -> None:
    model = fitted(method=method)
    features = _features_of(model._ready())
    assert features is not None
    # as of a version that measured half as many
    some = {"mean": features.mean[::2], "sd": features.sd[::2]}
    older = replace(features, **some, landmarks=features.landmarks[:, ::2])
    whole = model._ready()
    model._model = Advised(whole.network, older) if isinstance(whole, Advised) else older
    model.save(tmp_path / "model")
    with pytest.raises(ModelError, match=r"other features than this version.*train it again"):
        ColonyClassifier.load(tmp_path / "model")


def test_a_model_folder_that_exists_is_kept(trained: ColonyClassifier, tmp_path: Path) -> None:
    trained.save(tmp_path / "model")
    with pytest.raises(FileError):
        trained.save(tmp_path / "model")
    trained.save(tmp_path / "model", replace=True)


def test_folders_that_are_no_classifier_are_told_apart(
    trained: ColonyClassifier, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match=r"has no model\.json"):
        ColonyClassifier.load(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(ModelError, match="not finished"):
        ColonyClassifier.load(tmp_path)
    trained.save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    said = json.loads(file.read_text())
    for change, message in [
        ({"kind": "stains"}, "is a model of stains, not of colonies"),
        ({"format": 99}, "update unstained"),
        ({"normalizer": None}, "is not what unstained wrote"),
    ]:
        file.write_text(json.dumps({**said, **change}))
        with pytest.raises(ModelError, match=message):
            ColonyClassifier.load(tmp_path / "model")
    file.write_text("{")
    with pytest.raises(ModelError, match="is not what unstained wrote"):
        ColonyClassifier.load(tmp_path / "model")


def test_the_supervised_baseline_needs_no_unlabelled_images() -> None:
    images, y = textures(60)
    classifier = ColonyClassifier("supervised", **QUICK)
    assert classifier.fit(images, y).about["unlabelled"] == 0


def test_without_a_validation_part_nothing_is_calibrated_or_promised() -> None:
    classifier = fitted(validation=0)
    assert classifier.about["labelled"] == [5, 5, 5]
    assert classifier.temperature == 1
    with pytest.raises(InputError, match="no validation part"):
        classifier.conformal()


def test_validation_has_groups_of_its_own() -> None:
    images, y = textures(120)
    groups = np.arange(120) % 20
    seen: list[np.ndarray] = []

    class Spy(ColonyClassifier):
        def _calibrate(self, data: Any) -> None:
            seen.extend([data.labelled, data.validation])
            super()._calibrate(data)

    Spy("supervised", **{**QUICK, "steps": 2}).fit(images, y, groups)
    assert not set(groups[seen[0]]) & set(groups[seen[1]])


def mosaics() -> tuple[list[np.ndarray], np.ndarray]:
    """Six labelled images, ten unlabelled ones, ten of several classes."""
    images, y = textures(30)
    codes = hidden(y, 2)
    codes[np.flatnonzero(codes == -1)[:10]] = -2
    return images, codes


@pytest.mark.parametrize(("multi_label", "unlabelled"), [(True, 24), (False, 14)])
def test_images_of_several_classes_are_learned_from_only_if_asked(
    multi_label: bool, unlabelled: int
) -> None:
    images, codes = mosaics()
    classifier = ColonyClassifier(**{**QUICK, "multi_label": multi_label, "steps": 2})
    assert classifier.fit(images, codes).about["unlabelled"] == unlabelled


def test_all_mosaics_without_multi_label_leave_nothing_to_learn_from() -> None:
    images, codes = mosaics()
    codes[codes == -1] = -2
    with pytest.raises(DataError, match="there are none"):
        ColonyClassifier(multi_label=False).fit(images, codes)


# bad input -----------------------------------------------------------------------------------


def few() -> tuple[list[np.ndarray], np.ndarray]:
    images, y = textures(30)
    return images, hidden(y, 3)


def test_a_class_with_one_labelled_image_is_named() -> None:
    images, codes = few()
    codes[np.flatnonzero(codes == 1)[1:]] = -1
    with pytest.raises(DataError, match="too few labelled images: spread has 1"):
        ColonyClassifier().fit(images, codes, classes=["dense", "spread", "debris"])


def test_no_unlabelled_images_are_told_with_the_way_out() -> None:
    images, y = textures(30)
    with pytest.raises(DataError, match=r"there are none; .*--method supervised"):
        ColonyClassifier().fit(images, y)


def test_an_empty_mask_is_named() -> None:
    images, codes = few()
    masks = [np.ones((SIDE, SIDE), bool) for _ in images]
    masks[4][:] = False
    with pytest.raises(DataError, match="image 4: the mask is empty"):
        ColonyClassifier(**QUICK).fit(images, codes, masks=masks)


def test_an_image_smaller_than_the_patch_is_enlarged() -> None:
    images, codes = few()
    classifier = ColonyClassifier(**{**QUICK, "patch": 40, "steps": 2, "pretrain_steps": 2})
    p = classifier.fit(images, codes).predict_proba(images[:2])
    assert classifier.about["patch"] == 40
    assert np.isfinite(p).all()


def test_an_unknown_label_is_named() -> None:
    import pandas as pd

    table = pd.DataFrame({"label": ["dense", "dence"], "group": ""})
    with pytest.raises(DataError, match=r"t\.csv: has labels dence, and the classes are dense"):
        Examples(table, Path(), "t.csv").codes(["dense", "spread"])


@pytest.mark.parametrize(
    ("codes", "groups", "classes", "message"),
    [
        ([0, 1], None, None, "30 images, 2 labels"),
        ([0] * 30, ["a"], None, "1 groups"),
        ([-3] + [0] * 29, None, None, "class code -3"),
        ([0] * 30, None, None, "1 classes are labelled"),
        ([-1] * 30, None, None, "0 classes are labelled"),
        ([0, 1, 2] * 10, None, ["a", "b"], "2 class names for codes up to 2"),
        ([0, 1, -1] * 10, None, ["a", "b", "c"], "c has 0"),
        ([[0]] * 30, None, None, r"int64 and shape \(30, 1\)"),
        ([0, 1] * 15, None, ["a", "a"], "classes are a, a; give each a name of its own"),
        ([0, 1] * 15, ["w1"] * 29 + [""], None, "image 29 has no group"),
        ([0, 1] * 15, ["w1", None] * 15, None, "image 1 has no group"),
        ([0, 1] * 15, [1.0, np.nan] * 15, None, "image 1 has no group"),
    ],
)
def test_labels_that_cannot_be_are_refused(
    codes: list[Any], groups: list[Any] | None, classes: list[str] | None, message: str
) -> None:
    images, _ = textures(30)
    with pytest.raises((InputError, DataError), match=message):
        ColonyClassifier().fit(images, codes, groups, classes=classes)


def test_images_of_other_planes_than_in_training_are_refused(trained: ColonyClassifier) -> None:
    with pytest.raises(ModelError, match="trained on 1 planes, and images have 2"):
        trained.predict_proba([np.zeros((2, SIDE, SIDE))])


def test_at_least_one_view_is_predicted(trained: ColonyClassifier) -> None:
    with pytest.raises(InputError, match="views is 0"):
        trained.predict_proba(textures(3)[0], views=0)


def test_masks_come_with_crops_or_beside_images_not_both(
    trained: ColonyClassifier, tmp_path: Path
) -> None:
    np.save(tmp_path / "stack.npy", np.zeros((2, SIDE, SIDE)))
    (tmp_path / "t.csv").write_text("image,label,index\nstack.npy,a,0\nstack.npy,b,1\n")
    with pytest.raises(InputError, match="masks beside crops"):
        trained.predict_proba(load_examples(tmp_path / "t.csv"), masks=[None, None])


def test_an_untrained_classifier_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="was not trained"):
        ColonyClassifier().save(tmp_path / "model")


# with all labels -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["supervised", "features", "ipb"])
def test_refit_calibrates_on_the_validation_part_and_predicts_with_all_labels(
    method: str, tmp_path: Path
) -> None:
    first, again = (fitted(method=method, refit=refit) for refit in (False, True))
    assert not same(first, again)
    assert again.temperature == first.temperature
    assert np.array_equal(again.held.probabilities, first.held.probabilities)
    if method == "supervised":
        assert same(again, fitted(method=method, refit=True, validation=0))
    else:  # no surer of itself than the model that was calibrated
        assert _rounds_of(again._ready()) == _rounds_of(first._ready())
    again.save(tmp_path / "model")
    images, _ = textures(12, seed=5)
    loaded = ColonyClassifier.load(tmp_path / "model")
    assert np.allclose(loaded.predict_proba(images), again.predict_proba(images), atol=1e-6)


@pytest.mark.parametrize("method", ["supervised", "features"])
def test_a_class_that_validation_alone_has_is_named_before_training(method: str) -> None:
    # the split column of a manifest can put all labels of a class there
    images, y = textures(60)
    with pytest.raises(DataError, match="every labelled image of b is in validation"):
        ColonyClassifier(**{**QUICK, "method": method}).fit(
            images, y, classes=["a", "b", "c"], validation=np.flatnonzero(y == 1)
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": ["a", "b"]}, "2 classes for 3 outputs"),
        ({"temperature": 0}, "temperature is 0"),
        ({"about": {}}, "planes"),
        ({"about": {"planes": 1, "patch": 8, "pixels": 5}}, "about.pixels is 5, not text"),
        (
            {"about": {"planes": 1, "patch": 8, "pixels": "uint8", "data": "x", "by": "zz"}},
            "about.by is 'zz'",
        ),
        ({"classes": ["0", 1, "2"]}, r"classes\[1\] is 1, not text"),
        ({"settings": None}, "not what unstained wrote"),
        ({"normalizer": {"mean": [0.0], "sd": [1.0, 1.0]}}, "planes differ in number"),
        ({"temperature": "1"}, "temperature is '1'"),
    ],
)
def test_an_entry_of_model_json_that_was_changed_by_hand_is_named(
    change: dict[str, Any], said: str, trained: ColonyClassifier, tmp_path: Path
) -> None:
    trained.save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    told = json.loads(file.read_text(encoding="utf-8")) | change
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"model\.json: .*{said}"):
        ColonyClassifier.load(tmp_path / "model")


@pytest.mark.parametrize("size", ["planes", "classes"])
def test_a_size_in_model_json_that_no_memory_holds_is_refused(
    size: str, trained: ColonyClassifier, tmp_path: Path
) -> None:
    trained.save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    told["network"][size] = 10**7
    file.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"model\.safetensors: .*{size} is 1e\+07.*copy it again"):
        ColonyClassifier.load(tmp_path / "model")


def test_the_adviser_s_weight_lies_between_the_network_and_the_adviser_alone() -> None:
    network, adviser = np.array([[0.8, 0.2]]), np.array([[0.2, 0.8]])
    assert np.allclose(geometric_mean(network, adviser, 0.0), network)
    assert np.allclose(geometric_mean(network, adviser, 1.0), adviser)
    # logits ln 4 and -ln 4: at 3 / 4, -ln 2
    assert np.allclose(geometric_mean(network, adviser, 0.75), [[1 / 3, 2 / 3]])


# what may be added to a recipe -----------------------------------------------------------------

ADDED: dict[str, dict[str, Any]] = {
    "auxiliary": {"auxiliary": 1.0, "balanced_labels": False, "balance": 0.0},
    "finetune": {"finetune_steps": 3},
    "adviser": {"adviser": True},
    "prior by EM, logits adjusted": {"prior": "em", "logit_adjustment": 1.0, "balance": 0.0},
    "alignment, class-adaptive thresholds": {"align": True, "adaptive": True},
}


@pytest.mark.parametrize("what", ADDED)
def test_an_addition_changes_the_model_and_is_loaded_as_it_was_saved(
    what: str, tmp_path: Path
) -> None:
    plain = {"method": "ipb", "adviser": False, "threshold": 0.0}
    images, _ = textures(12, seed=5)
    with_it = fitted(**{**plain, **ADDED[what]})
    without = fitted(**plain).predict_proba(images)
    p = with_it.predict_proba(images)
    assert np.abs(p - without).max() > 1e-4
    with_it.save(tmp_path / "model")
    again = ColonyClassifier.load(tmp_path / "model").predict_proba(images)
    assert np.allclose(again, p, atol=1e-6)


BRIEF: dict[str, Any] = {**QUICK, "pretrain_steps": 1, "steps": 1, "refit": False}


def seen_by_network(classifier: ColonyClassifier) -> tuple[int, ...]:
    """Its planes; () for all."""
    spec = model_tensors(classifier._ready())[1]
    assert spec is not None
    return tuple(spec["seen"])


@pytest.fixture(scope="module")
def two_planes() -> tuple[list[np.ndarray], np.ndarray]:
    """Textures in the first plane, in the second log-normal values as of scattered light."""
    images, y = textures(60)
    scattered, _ = textures(60, seed=3)
    return [np.stack([a, np.exp(b / 15)]) for a, b in zip(images, scattered, strict=True)], y


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ({}, (0,)),
        ({"adviser_alone": False}, ()),
        ({"logarithm": False}, ()),  # nor is it looked for
        ({"adviser": False}, ()),  # nobody else would see it
    ],
)
def test_a_plane_with_a_long_tail_is_left_to_the_adviser(
    how: dict[str, Any],
    seen: tuple[int, ...],
    two_planes: tuple[list[np.ndarray], np.ndarray],
    tmp_path: Path,
) -> None:
    images, y = two_planes
    classifier = ColonyClassifier("ipb", **{**BRIEF, **how}).fit(images, hidden(y, 5))
    assert seen_by_network(classifier) == seen
    classifier.save(tmp_path / "model")
    loaded = ColonyClassifier.load(tmp_path / "model")
    assert seen_by_network(loaded) == seen
    other = [np.stack([plain, np.sqrt(scattered)]) for plain, scattered in images]
    p = loaded.predict_proba(images)
    assert np.array_equal(p, classifier.predict_proba(images))
    assert not np.allclose(loaded.predict_proba(other), p)  # somebody sees it


def test_where_every_plane_has_a_long_tail_the_network_sees_them_all(
    two_planes: tuple[list[np.ndarray], np.ndarray],
) -> None:
    images, y = two_planes
    scattered = [image[1:] for image in images]
    classifier = ColonyClassifier("ipb", **BRIEF).fit(scattered, hidden(y, 5))
    assert seen_by_network(classifier) == ()


def test_posthoc_adjustment_divides_by_the_labelled_shares() -> None:
    plain, adjusted = (fitted(method="features", posthoc=by) for by in (0.0, 1.0))
    share = np.array(plain.about["labelled"]) / sum(plain.about["labelled"])
    raw = plain.held.probabilities
    by_hand = raw / share / (raw / share).sum(axis=1, keepdims=True)
    assert np.allclose(adjusted.held.probabilities, by_hand)


def test_a_run_is_not_resumed_with_other_settings(tmp_path: Path) -> None:
    fitted(method="supervised", steps=2, folder=tmp_path)
    with pytest.raises(InputError, match="began with other learning_rate"):
        fitted(method="supervised", steps=2, learning_rate=0.5, folder=tmp_path, resume=True)


def test_a_run_that_was_begun_before_a_setting_came_goes_on_without_it(tmp_path: Path) -> None:
    fitted(method="supervised", steps=2, folder=tmp_path)
    note = tmp_path / NOTE
    said = json.loads(note.read_text("utf-8"))
    del said["settings"]["adviser_alone"]
    note.write_text(json.dumps(said), "utf-8")
    fitted(method="supervised", steps=2, folder=tmp_path, resume=True)
    with pytest.raises(InputError, match="began with other adviser_alone;"):
        fitted(method="supervised", steps=2, adviser_alone=True, folder=tmp_path, resume=True)


def test_given_validation_images_teach_nothing() -> None:
    images, y = textures(60)
    aside = np.flatnonzero(np.arange(60) % 3 == 0)
    classifier = ColonyClassifier("features", **QUICK).fit(images, y, validation=aside)
    assert classifier.about["validation"] == np.bincount(y[aside], minlength=3).tolist()
    assert sum(classifier.about["labelled"]) == 60 - aside.size


@pytest.mark.parametrize("position", [60, -1, 1])
def test_validation_of_what_is_not_labelled_is_refused(position: int) -> None:
    images, y = textures(60)
    y = np.where(np.arange(60) == 1, -1, y)
    with pytest.raises(InputError, match=f"validation has {position}, which is no position"):
        ColonyClassifier("features", **QUICK).fit(images, y, validation=[0, 3, position])


def test_images_of_other_bits_than_those_of_training_are_refused(tmp_path: Path) -> None:
    images, y = textures(60)
    scaled = [(255 * (i - i.min()) / np.ptp(i)).astype(np.uint8) for i in np.asarray(images)]
    classifier = ColonyClassifier("features", **QUICK).fit(scaled, y)
    assert classifier.about["pixels"] == "uint8"
    classifier.save(tmp_path / "model")
    loaded = ColonyClassifier.load(tmp_path / "model")
    wide = [image.astype(np.uint16) * 257 for image in scaled]
    message = "image 1: has pixels of uint16, and the images of training of uint8"
    with pytest.raises(DataError, match=message):
        loaded.predict_proba([scaled[0], wide[1]])
    # floats, and models that do not say what they were trained on, are let through
    assert len(loaded.predict_proba([image.astype(float) for image in scaled[:2]])) == 2
    del loaded.about["pixels"]
    assert len(loaded.predict_proba(wide[:2])) == 2


def test_images_of_different_bits_are_not_learned_from_together() -> None:
    images, y = textures(60)
    mixed = [np.abs(i).astype(np.uint16 if n == 7 else np.uint8) for n, i in enumerate(images)]
    message = r"has pixels of uint\d+, and image \d+ of uint\d+; save all images"
    with pytest.raises(DataError, match=message):
        ColonyClassifier("features", **QUICK).fit(mixed, y)


def test_names_as_labels_are_refused_with_a_hint() -> None:
    images, _ = textures(10)
    with pytest.raises(InputError, match="names go to `classes`"):
        ColonyClassifier("features").fit(images, np.array(["a"] * 10))


def test_a_mask_of_validation_images_is_not_taken_for_positions() -> None:
    images, y = textures(60)
    with pytest.raises(InputError, match=r"validation is of bool .* numpy\.flatnonzero"):
        ColonyClassifier("features", **QUICK).fit(images, y, validation=np.arange(60) < 12)


def test_images_of_a_series_go_by_their_place_and_not_by_its_index() -> None:
    images, y = textures(60)
    crops = ArrayCrops(pd.Series(images, index=np.arange(60)[::-1]))
    for i in range(60):
        np.testing.assert_array_equal(crops.read(i).pixels[0], images[i])
    told = ColonyClassifier("features", **QUICK).fit(images, y)
    again = ColonyClassifier("features", **QUICK)
    again.fit((image for image in images), pd.Series(y, index=np.arange(60)[::-1]))
    np.testing.assert_array_equal(again.predict_proba(images), told.predict_proba(images))


def test_floats_of_0_to_1_are_not_predicted_where_grey_values_were_learned() -> None:
    images, y = textures(60)
    grey = [(255 * (i - i.min()) / np.ptp(i)).astype(np.uint8) for i in np.asarray(images)]
    classifier = ColonyClassifier("features", **QUICK).fit(grey, y)
    with pytest.raises(DataError, match="image 0: has pixels of 0 to 1, and the images of train"):
        classifier.predict_proba([grey[0] / 255])


def test_names_of_classes_that_are_numbers_come_back_as_text(tmp_path: Path) -> None:
    images, y = textures(60)
    classifier = ColonyClassifier("features", **QUICK)
    assert repr(classifier) == "<ColonyClassifier features not trained>"
    classifier.fit(images, y, classes=np.array([10, 20, 40]), folder=str(tmp_path / "steps"))  # type: ignore[arg-type]
    classifier.save(tmp_path / "model")
    again = ColonyClassifier.load(tmp_path / "model")
    assert repr(again) == "<ColonyClassifier features of 10, 20, 40>"
    assert ColonyClassifier(**again.settings.as_dict()).settings == classifier.settings
