"""SimCLR, SimTriplet, Contrastive Clustering: losses against loops, and short trainings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from unstained.colonies import selfsupervised
from unstained.colonies.contrastive import cluster_loss, negative_cosine, nt_xent, triplet_loss
from unstained.colonies.crops import ArrayCrops, Patches
from unstained.colonies.selfsupervised import match_clusters, train_selfsupervised
from unstained.colonies.settings import ClassifierSettings
from unstained.colonies.training_data import TrainingData
from unstained.learning.encoders import EncoderSpec, build_classifier

METHODS = ("simclr", "simtriplet", "contrastive-clustering")


def cosine(a, b):
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def nt_xent_by_loops(a, b, temperature):
    vectors, n = [*a, *b], len(a)
    total = 0.0
    for i, z in enumerate(vectors):
        partner = i + n if i < n else i - n
        below = sum(
            math.exp(cosine(z, other) / temperature) for k, other in enumerate(vectors) if k != i
        )
        total -= math.log(math.exp(cosine(z, vectors[partner]) / temperature) / below)
    return total / (2 * n)


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 5, 3))


def test_nt_xent_is_the_sum_over_all_pairs(views):
    a, b = views
    found = nt_xent(torch.tensor(a), torch.tensor(b), 0.5)
    assert float(found) == pytest.approx(nt_xent_by_loops(a, b, 0.5), rel=1e-5)


def test_nt_xent_of_two_images_that_are_orthogonal_and_agree():
    # each vector meets its partner at cosine 1, the two of the other image at 0; temperature 1:
    # -log( e / (e + 1 + 1) )
    a = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    expected = -math.log(math.e / (math.e + 2))
    assert float(nt_xent(a, 5 * a, 1.0)) == pytest.approx(expected, rel=1e-6)


def test_nt_xent_does_not_change_with_the_order_of_images_views_or_with_lengths(views):
    a, b = torch.tensor(views)
    order = torch.tensor([3, 0, 4, 1, 2])
    once = float(nt_xent(a, b, 0.5))
    assert float(nt_xent(b, a, 0.5)) == pytest.approx(once, rel=1e-6)
    assert float(nt_xent(a[order], b[order], 0.5)) == pytest.approx(once, rel=1e-6)
    assert float(nt_xent(7 * a, b, 0.5)) == pytest.approx(once, rel=1e-6)
    assert float(nt_xent(a[order], b, 0.5)) != pytest.approx(once, rel=1e-3)


def test_triplet_loss_is_half_of_four_cosines():
    rng = np.random.default_rng(1)
    z, p = rng.normal(size=(2, 3, 4, 6))  # three views of four images
    mean = lambda a, b: np.mean([cosine(u, v) for u, v in zip(a, b, strict=True)])  # noqa: E731
    within = -mean(p[0], z[1]) - mean(p[1], z[0])
    between = -mean(p[0], z[2]) - mean(p[2], z[0])
    found = triplet_loss(tuple(torch.tensor(z)), tuple(torch.tensor(p)))
    assert float(found) == pytest.approx((within + between) / 2, rel=1e-5)


def test_the_target_of_a_cosine_gets_no_gradient():
    predicted, target = torch.eye(3, requires_grad=True), torch.ones(3, 3, requires_grad=True)
    negative_cosine(predicted, target).backward()
    assert target.grad is None
    assert predicted.grad is not None
    assert predicted.grad.abs().sum() > 0


def test_cluster_loss_is_nt_xent_of_columns_less_the_entropies_of_the_shares():
    rng = np.random.default_rng(2)
    a, b = rng.dirichlet([1.0, 1.0, 1.0], size=(2, 6))
    entropy = -sum(s * math.log(s) for v in (a, b) for s in v.mean(axis=0))
    expected = nt_xent_by_loops(a.T, b.T, 1.0) - entropy
    found = cluster_loss(torch.tensor(a), torch.tensor(b), 1.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_one_cluster_that_holds_everything_costs_more_than_even_ones():
    even = torch.eye(3).repeat(2, 1)
    one = torch.full((6, 3), 1e-4)
    one[:, 0] = 1 - 2e-4
    assert float(cluster_loss(even, even, 1.0)) < float(cluster_loss(one, one, 1.0)) - 1


def test_clusters_are_matched_by_the_share_of_each_class_not_by_its_size():
    # class 0: 60 in cluster 0, 40 in cluster 1; class 1: 9 in cluster 0, 1 in cluster 1.
    # by counts 60 + 1 > 40 + 9; by recall 0.6 + 0.1 < 0.4 + 0.9
    y = np.repeat([0, 0, 1, 1], [60, 40, 9, 1])
    cluster = np.repeat([0, 1, 0, 1], [60, 40, 9, 1])
    assert match_clusters(cluster, y, 2).tolist() == [1, 0]


def textures(per_class, seed):
    """Grain of 1 px, grain of 3 px, and stripes, 16 x 16, in this order over and over."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(per_class):
        coarse = np.kron(rng.normal(size=(6, 6)), np.ones((3, 3)))[:16, :16]
        stripes = np.sign(np.sin(np.arange(16) * 2 + rng.uniform(0, 6)))[:, None] * np.ones(16)
        images += [rng.normal(size=(16, 16)), coarse, stripes + 0.3 * rng.normal(size=(16, 16))]
    return [100 + 20 * image for image in images], np.tile(np.arange(3), per_class)


def toy(method, **changes):
    """60 images: 12 labelled, 12 for validation, 36 without a label; then 60 for a test."""
    images, y = textures(40, 0)
    settings = ClassifierSettings.of_method(
        method,
        **{"steps": 40, "pretrain_steps": 20, "unlabelled_batch": 24, "batch": 12, "patch": 16}
        | {"precision": "float32", "device": "cpu", "views": 1, "ema": 0.9}
        | {"zoom": 0.0, "shift": 0.0}
        | changes,
    )
    patches = Patches(ArrayCrops(images), 16, 0.0, flips=0.5, quarter_turns=True)
    data = TrainingData(
        patches=patches,
        labelled=np.arange(12),
        labelled_y=y[:12],
        validation=np.arange(12, 24),
        validation_y=y[12:24],
        unlabelled=np.arange(24, 60),
        classes=3,
        settings=settings,
        normalizer=TrainingData.fit_normalizer(patches, np.arange(12), settings),
        groups=np.arange(12),
    )
    test = replace(data, validation=np.arange(60, 120), validation_y=y[60:])
    return build_classifier(EncoderSpec("small", 1, 3), seed=0), data, test


def silent(stage, progress):
    pass


# by chance 1/3, with a standard deviation of 0.06 on 60 images
@pytest.mark.parametrize(
    ("method", "least"), [("simclr", 0.8), ("simtriplet", 0.6), ("contrastive-clustering", 0.5)]
)
def test_textures_are_told_apart(method, least, tmp_path):
    network, data, test = toy(method, steps=80)
    train_selfsupervised(network, data, tmp_path, resume=False, report=silent)
    assert test.validate(network)["recall"] > least


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_broken_off_ends_with_the_same_weights(method, tmp_path):
    few = {"steps": 30, "pretrain_steps": 6}

    class Stop(Exception):
        pass

    def stop(stage, progress):
        if progress.step == 28:  # three steps beyond the checkpoint at 25
            raise Stop

    whole, data, _ = toy(method, **few)
    train_selfsupervised(whole, data, tmp_path / "whole", resume=False, report=silent)
    broken, data, _ = toy(method, **few)
    with pytest.raises(Stop):
        train_selfsupervised(broken, data, tmp_path / "broken", resume=False, report=stop)
    resumed, data, _ = toy(method, **few)
    train_selfsupervised(resumed, data, tmp_path / "broken", resume=True, report=silent)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("method", "stages"),
    [("simclr", ["encoder", "supervised"]), ("contrastive-clustering", ["encoder"])],
)
def test_stages_come_in_order_with_as_many_steps_as_were_set(method, stages, tmp_path):
    network, data, _ = toy(method, steps=3, pretrain_steps=2)
    seen = []
    train_selfsupervised(
        network,
        data,
        tmp_path,
        resume=False,
        report=lambda stage, progress: seen.append((stage, progress.steps)),
    )
    assert list(dict.fromkeys(stage for stage, _ in seen)) == stages
    assert len(seen) == (3 + 2 if "supervised" in stages else 3)


def test_steps_of_minus_one_are_200_passes_over_all_training_images():
    # 12 labelled and 36 unlabelled images, 24 a step: 2 steps a pass
    _, data, _ = toy("simclr", steps=-1)
    assert selfsupervised._encoder_steps(data).steps == 200 * 2


def test_no_label_is_seen_by_the_encoder_and_no_validation_image(tmp_path):
    _, data, _ = toy("simclr")
    other = replace(data, labelled_y=data.labelled_y[::-1].copy())
    tasks = [
        selfsupervised._SimCLR(build_classifier(EncoderSpec("small", 1, 3), seed=0), d)
        for d in (data, other)
    ]
    seen = np.concatenate([tasks[0].images(step)[0] for step in range(2)])
    assert sorted(seen.tolist()) == [*range(12), *range(24, 60)]
    for a, b in zip(tasks[0].batch(5).values(), tasks[1].batch(5).values(), strict=True):
        assert torch.equal(a, b)


def test_the_third_view_of_a_triplet_is_another_patch_of_the_same_image():
    images, _ = textures(1, 0)
    wide = [np.arange(64.0)[None].repeat(64, axis=0) + 1000 * i for i in range(len(images))]
    _, data, _ = toy("simtriplet", rotation=0, jitter=0, blur=0, flips=0, quarter_turns=False)
    data = replace(
        data,
        patches=Patches(ArrayCrops(wide), 16, 0.0),
        labelled=np.arange(3),
        labelled_y=np.arange(3),
        unlabelled=np.empty(0, int),
        normalizer=type(data.normalizer)((0.0,), (1.0,)),
    )
    task = selfsupervised._SimTriplet(build_classifier(EncoderSpec("small", 1, 3), seed=0), data)
    first, turned, second = task.views(0)
    assert torch.equal(first, turned)  # nothing varies it here
    assert torch.equal(first[:, 0, 0, 0] // 1000, second[:, 0, 0, 0] // 1000)
    assert not torch.equal(first, second)
