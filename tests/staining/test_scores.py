import cv2
import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.metrics import structural_similarity

from unstained.errors import DataError, InputError
from unstained.staining.scores import (
    SMOOTHED,
    check_no_copy,
    laplacian,
    mae,
    r_lap,
    r_s,
    score_pair,
    ssim,
)
from unstained.staining.totals import block_sums, label_totals, tile_total


@pytest.fixture
def stain():
    """Blobs with noise, 16-bit, up to the top of the range."""
    rng = np.random.default_rng(0)
    blobs = ndimage.gaussian_filter(rng.random((64, 80)), 3)
    blobs = (blobs - blobs.min()) / np.ptp(blobs)
    return np.clip(63_000 * blobs + rng.normal(0, 800, blobs.shape), 0, 65_535).astype(np.uint16)


def test_a_scaled_and_shifted_copy_scores_1(stain):
    copy = 0.01 * stain.astype(np.float32) - 300
    assert r_s(stain, copy) == pytest.approx(1.0, abs=1e-6)
    assert r_lap(stain, copy) == pytest.approx(1.0, abs=1e-6)


def test_a_negative_scores_minus_1(stain):
    assert r_s(stain, -stain.astype(np.float32)) == pytest.approx(-1.0)


def test_r_s_agrees_with_scipy(stain):
    prediction = ndimage.gaussian_filter(stain.astype(np.float32), 2)
    theirs = stats.pearsonr(stain.ravel().astype(float), prediction.ravel().astype(float))
    assert r_s(stain, prediction) == pytest.approx(theirs.statistic, abs=1e-6)


def test_r_lap_correlates_opencv_laplacians_of_31_px(stain):
    prediction = ndimage.gaussian_filter(stain.astype(np.float32), 2)
    a, b = (cv2.Laplacian(x.astype(np.float64), cv2.CV_64F, ksize=31) for x in (stain, prediction))
    assert r_lap(stain, prediction) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_r_lap_at_31_is_not_r_lap_at_5(stain):
    # noise rules fine derivatives, 31 px average it away
    noisy = stain + np.random.default_rng(9).normal(0, 6000, stain.shape)
    assert r_lap(stain, noisy) > 0.9
    assert r_lap(stain, noisy, ksize=5) < 0.6


def test_laplacian_of_1_px_by_hand():
    # ksize 1: the kernel 0 1 0 / 1 -4 1 / 0 1 0
    image = np.zeros((5, 5), np.uint16)
    image[2, 2] = 40_000
    field = laplacian(image, 1)
    assert field[2, 2] == -160_000  # an 8-bit or 16-bit field would be clipped at 0
    assert field[1, 2] == field[2, 1] == 40_000


@pytest.mark.parametrize("ksize", [0, 4, 33])
def test_a_kernel_that_opencv_has_not_is_refused(stain, ksize):
    with pytest.raises(InputError, match="odd size from 1 to 31"):
        r_lap(stain, stain, ksize=ksize)


def test_mae_of_16_bit_values_does_not_wrap():
    # 3 - 5 is -2, not 65534
    assert mae(np.full((2, 2), 5, np.uint16), np.full((2, 2), 3, np.uint16)) == 2.0


def test_scores_of_16_bit_neither_wrap_nor_saturate(stain):
    as_float = stain.astype(np.float64)
    prediction = ndimage.gaussian_filter(as_float, 2)
    small, large = score_pair(as_float, prediction), score_pair(stain, prediction)
    for name in ("r_s", "r_lap", "mae", "ssim"):
        assert getattr(large, name) == pytest.approx(getattr(small, name))
    # values 100 times beyond 16 bit: correlations stay, mae scales
    huge = score_pair(as_float * 100, prediction * 100)
    assert huge.r_s == pytest.approx(small.r_s)
    assert huge.mae == pytest.approx(100 * small.mae)


def test_ssim_agrees_with_scikit_image(stain):
    x = stain.astype(np.float64)
    y = ndimage.gaussian_filter(x, 2) * 0.9 + 500
    theirs = structural_similarity(
        x,
        y,
        data_range=np.ptp(x),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(stain, y) == pytest.approx(theirs, abs=1e-9)


def test_ssim_of_a_tiny_image_is_undefined_and_says_so():
    rng = np.random.default_rng(1)
    score = score_pair(rng.random((8, 8)), rng.random((8, 8)))
    assert np.isnan(score.ssim)
    assert "SSIM needs 11 x 11 px" in score.note


def test_a_constant_stain_has_no_correlation_and_says_why():
    prediction = np.random.default_rng(2).random((20, 20))
    score = score_pair(np.full((20, 20), 700, np.uint16), prediction)
    assert np.isnan([score.r_s, score.r_lap, score.ssim, score.c_max]).all()
    assert score.mae == pytest.approx(np.abs(prediction - 700).mean())
    assert "the stain is constant" in score.note


def test_a_constant_prediction_explains_nothing(stain):
    level = np.float32(stain.mean())
    score = score_pair(stain, np.full(stain.shape, level))
    assert (score.r_s, score.r_lap) == (0.0, 0.0)
    assert "the prediction is constant" in score.note


def test_rounding_noise_on_a_constant_prediction_is_no_prediction(stain):
    wobble = np.random.default_rng(3).choice(np.float32([0, 1e-3]), stain.shape)
    assert r_s(stain, np.float32(30_000) + wobble) == 0.0


def test_c_max_meets_the_score_of_the_noise_free_truth():
    # var(signal) / var(noise) known: the truth itself scores c_max = sqrt(snr / (1 + snr))
    rng = np.random.default_rng(4)
    truth = ndimage.gaussian_filter(rng.random((256, 256)), 6)
    truth = (truth - truth.mean()) / truth.std() * 2000
    noisy = truth + rng.normal(0, 1000, truth.shape) + 10_000  # snr = 4, c_max = 0.894
    score = score_pair(noisy, truth)
    assert score.c_max == pytest.approx(np.sqrt(4 / 5), abs=0.01)
    assert score.r_s == pytest.approx(score.c_max, abs=0.01)


def test_a_smoothed_stain_is_noted_since_its_noise_cannot_be_measured(stain):
    soft = ndimage.gaussian_filter(stain.astype(float), 3)
    assert SMOOTHED in score_pair(soft, soft).note
    assert SMOOTHED not in score_pair(stain, soft).note


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_is_no_prediction(stain, dtype):
    with pytest.raises(DataError, match="score the float prediction"):
        score_pair(stain, stain.astype(dtype))


def test_nan_in_a_prediction_is_an_error_not_a_score(stain):
    broken = stain.astype(np.float32)
    broken[3, 4] = np.nan
    with pytest.raises(DataError, match="the prediction has 1 values that are NaN"):
        score_pair(stain, broken)


def test_shapes_that_differ_are_refused(stain):
    with pytest.raises(DataError, match="crop or resample"):
        r_s(stain, stain[:-1].astype(float))


@pytest.mark.parametrize(
    "copy",
    [
        lambda s: s,
        lambda s: (s // 256).astype(np.uint8),
        lambda s: 65_535 - s,
        lambda s: 2.0 * s + 7,
    ],
    ids=["equal", "8-bit", "inverted", "rescaled"],
)
def test_a_target_that_is_a_copy_of_the_input_is_refused(stain, copy):
    other = np.random.default_rng(5).random(stain.shape)
    with pytest.raises(DataError, match=r"a\.tif: DAPI is a copy of .* \(plane 1"):
        check_no_copy(stain, np.stack([other, copy(stain)]), marker="DAPI", file="a.tif")


def test_a_stain_that_resembles_the_input_is_no_copy(stain):
    noise = np.random.default_rng(6).normal(0, 0.1 * stain.std(), stain.shape)
    check_no_copy(stain, (stain + noise)[None])  # r = 1 / sqrt(1.01) = 0.995


def test_block_sums_by_hand():
    # 5 x 7 in blocks of 2: the fifth row and seventh column are left over
    image = np.full((5, 7), 60_000, np.uint16)
    assert block_sums(image, 2).tolist() == [[240_000.0] * 3] * 2


def test_tile_total_is_the_sum_above_the_border():
    tile = np.full((6, 6), 100, np.uint16)
    tile[2:4, 2:4] = 150
    assert tile_total(tile) == 4 * 50


def test_label_totals_by_hand():
    labels = np.zeros((4, 6), int)
    labels[0, :2], labels[3, 4:] = 7, 2
    image = np.full((4, 6), 10.0)
    image[0, :2], image[3, 4:] = 15.0, 30.0
    found = label_totals(image, labels)
    assert found.label.tolist() == [2, 7]
    assert found.total.tolist() == [40.0, 10.0]


def test_labels_of_another_image_are_refused():
    with pytest.raises(DataError, match="labels drawn on this image"):
        label_totals(np.zeros((4, 4)), np.zeros((4, 5), int))
