"""Wave optics: what the textbook says of empty fields, rings, edges, ramps and slabs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from unstained.errors import InputError
from unstained.simulate import Optics, image_of


def disc(radius_um: float, size: int = 256, pixel_um: float = 0.65) -> np.ndarray:
    y, x = (np.mgrid[:size, :size] - size / 2) * pixel_um
    return np.clip((radius_um - np.hypot(y, x)) / pixel_um + 0.5, 0, 1).astype(np.float32)


def texture(size: int = 128) -> np.ndarray:
    rng = np.random.default_rng(0)
    path = np.zeros((size, size), np.float32)
    for _ in range(6):
        cy, cx = rng.integers(0, size, 2)
        path += np.roll(disc(rng.uniform(4, 16), size), (cy, cx), (0, 1))
    return path * 0.8


@pytest.mark.parametrize("modality", ["phase", "brightfield", "dic"])
def test_an_empty_field_is_flat_and_1_in_and_out_of_focus(modality: str) -> None:
    for defocus_um in (0.0, 7.0):
        image = image_of(np.zeros((70, 96)), Optics(modality), defocus_um=defocus_um)
        assert (image.dtype, image.shape) == (np.float32, (70, 96))
        assert abs(image - 1).max() < 2e-5


@pytest.mark.parametrize("modality", ["phase", "brightfield", "dic"])
def test_a_constant_delay_is_no_contrast(modality: str) -> None:
    image = image_of(np.full((64, 64), 2.0), Optics(modality))
    assert abs(image - 1).max() < 2e-5


def test_a_small_thin_object_is_dark_by_2_phi_over_the_rings_amplitude() -> None:
    # |-i a + i phi|^2 / a^2 = 1 - 2 phi / a to first order, a = sqrt(0.25) = 0.5. A Gaussian of
    # 1.2 um passes the aperture (its spectrum has fallen to 1/e at 0.19 per um, the edge is at
    # 0.55 - 0.22 per um) and misses a thin ring.
    y, x = (np.mgrid[:256, :256] - 128) * 0.65
    phi = 1e-2 * np.exp(-(y**2 + x**2) / (2 * 1.2**2))
    image = image_of(phi, Optics(ring_na=(0.12, 0.124), ring_margin_na=0.0, ring_transmission=0.25))
    assert image[128, 128] - 1 == pytest.approx(-2 * 1e-2 / 0.5, rel=0.1)


def test_negative_contrast_makes_the_same_object_bright() -> None:
    path = 0.02 * disc(2.0, 96)
    dark = image_of(path, Optics())[48, 48] - 1
    bright = image_of(path, Optics(ring_phase_rad=-math.pi / 2))[48, 48] - 1
    assert dark < -0.02
    assert bright == pytest.approx(-dark, rel=0.1)


def test_an_edge_has_a_bright_halo_and_fades_inside() -> None:
    image = image_of(0.4 * disc(40.0), Optics())
    line = image[128, 128:]  # from the center outwards; the edge is at 40 / 0.65 = 61.5 px
    assert line[64:70].max() > 1.1  # halo
    assert line[55:60].min() < 0.75  # dark inside the edge
    assert line[:20].mean() > 0.9  # shade-off: the middle is nearly as bright as the background


def halo_um(ring_na: tuple[float, float]) -> float:
    """Distance from a straight edge at which the halo has fallen to a tenth, um."""
    path = np.zeros((16, 1024), np.float32)
    path[:, 512:] = 0.2
    optics = Optics(na=0.5, ring_na=ring_na, ring_margin_na=0.0, coarse_points=128)
    excess = image_of(path, optics).mean(0)[:512][::-1] - 1  # from the edge outwards
    after = int(np.flatnonzero(excess[:80] > 0.1)[-1])
    share = (excess[after] - 0.1) / (excess[after] - excess[after + 1])
    return float((after + share + 0.5) * 0.65)


def test_the_halos_width_is_inverse_to_the_rings_na() -> None:
    # An edge has no length of its own: a ring twice as large in all makes the same halo at half
    # the scale. Not exactly 2, for the aperture and the pixels do not change.
    assert halo_um((0.08, 0.1)) / halo_um((0.16, 0.2)) == pytest.approx(2, rel=0.12)
    assert halo_um((0.05, 0.0625)) / halo_um((0.1, 0.125)) == pytest.approx(2, rel=0.12)


def test_shade_off_grows_with_the_objects_size() -> None:
    # a ring hardly wider than the annulus; behind a wider one the middle of a disc of 12 um is
    # brighter than the background by 4 %, since the halo's light swings back
    narrow = Optics(ring_margin_na=0.004, ring_transmission=0.3)
    contrast = [
        1 - image_of(0.3 * disc(r_um, 256), narrow)[123:133, 123:133].mean()
        for r_um in (5.0, 8.0, 12.0, 40.0)
    ]
    assert contrast == sorted(contrast, reverse=True)
    # without shade-off it would be 2 phi / a - phi^2 / a^2 = 0.8 (a^2 = 0.3) for all of them
    assert contrast[0] > 0.25
    assert abs(contrast[-1]) < 0.05


def test_a_pupil_that_passes_all_light_keeps_its_energy() -> None:
    # The highest frequency, sqrt(2) / 2 cycles per pixel of 0.65 um, is NA 0.6 at 0.55 um; with
    # the condenser's 0.2 it is 0.8 < 1.2: nothing is lost, so the mean over the mirrored array
    # is that of |exp(i path)|^2 = 1. Out of focus the light is elsewhere, but there is as much.
    optics = Optics("brightfield", na=1.2, immersion_index=1.337)
    path = np.pad(texture(96), 40)  # what leaves the object stays inside
    focused = image_of(path, optics)
    assert abs(focused - 1).max() < 1e-3
    blurred = image_of(path, optics, defocus_um=8.0)
    assert blurred.std() > 0.02
    assert blurred.mean(dtype=float) == pytest.approx(1, abs=2e-4)


def test_a_slab_of_absorption_a_passes_exp_minus_a() -> None:
    # far from the slab's edges the object's wave is exp(-A / 2), its intensity exp(-A)
    absorption = 0.7 * disc(50.0)
    image = image_of(np.zeros_like(absorption), Optics("brightfield"), absorption=absorption)
    assert image[123:133, 123:133].mean() == pytest.approx(math.exp(-0.7), rel=0.01)


def test_dic_shows_a_ramp_as_sine_squared_of_its_slope_times_the_shear() -> None:
    # two waves 0.5 um apart differ by bias + slope * shear: I = sin^2(half of it), over that of
    # the empty field, sin^2(bias / 2). Slope 0.3 rad/um: (pi/2 + 0.15) / 2 = 0.8604
    optics = Optics("dic", shear_um=0.5, shear_angle_rad=0.0, bias_rad=math.pi / 2)
    path = np.broadcast_to(0.3 * 0.65 * np.arange(192), (64, 192))
    image = image_of(path, optics)
    expected = math.sin((math.pi / 2 + 0.15) / 2) ** 2 / 0.5
    assert image[20:44, 80:112].mean() == pytest.approx(expected, rel=0.01)
    # the other slope is dark by as much: sin^2(x - d) + sin^2(x + d) = 1 for x = pi / 4
    other = image_of(path[:, ::-1], optics)
    assert other[20:44, 80:112].mean() == pytest.approx(2 - expected, rel=0.01)


def test_a_thin_object_shows_in_brightfield_only_out_of_focus() -> None:
    path = texture(128) * 0.2
    optics = Optics("brightfield", condenser_na=0.02)
    assert image_of(path, optics, defocus_um=10.0).std() > 4 * image_of(path, optics).std()


def test_far_out_of_focus_a_shadow_lies_aside_by_the_height_times_the_lights_slope() -> None:
    # One condenser point, along y, in the middle of the annulus's area: NA
    # sqrt((0.11^2 + 0.15^2) / 2) = 0.1315. In a medium of 1.337 its slope is
    # 0.1315 / sqrt(1.337^2 - 0.1315^2) = 0.0988: 29.6 um aside at 300 um.
    y, x = (np.mgrid[:128, :128] - 64) * 2.6
    path = 0.1 * np.exp(-(y**2 + x**2) / (2 * 4.0**2))
    optics = Optics(pixel_size_um=2.6, ring_na=(0.11, 0.15), source_points=1, coarse_points=0)
    weight = (image_of(path, optics, defocus_um=300.0) - 1) ** 2
    aside = [float((axis * weight).sum() / weight.sum()) for axis in (y, x)]
    assert abs(aside[0]) == pytest.approx(29.6, abs=2.6)
    assert aside[1] == pytest.approx(0, abs=2.6)


def test_defocus_of_the_call_replaces_that_of_the_optics() -> None:
    path = texture(96)
    given = image_of(path, Optics(), defocus_um=5.0)
    assert np.array_equal(given, image_of(path, Optics(defocus_um=5.0)))
    assert not np.allclose(given, image_of(path, Optics()), atol=0.01)


def test_few_source_points_come_near_a_dense_source() -> None:
    path = texture()
    dense = image_of(path, Optics(source_points=200, coarse_points=0))
    error = np.sqrt(np.mean((image_of(path, Optics()) - dense) ** 2)) / dense.std()
    alone = image_of(path, Optics(coarse_points=0))
    assert error < 0.08
    assert np.sqrt(np.mean((alone - dense) ** 2)) / dense.std() > 1.5 * error


def test_the_image_hardly_depends_on_how_much_empty_field_is_around() -> None:
    small = image_of(0.5 * disc(12.0, 128), Optics())
    large = image_of(0.5 * disc(12.0, 220), Optics())[46:174, 46:174]
    assert abs(small - large)[20:-20, 20:-20].max() < 0.05


def test_threads_do_not_change_a_pixel() -> None:
    path = texture(96)
    assert np.array_equal(image_of(path, Optics()), image_of(path, Optics(), workers=2))


def test_the_object_is_not_modified() -> None:
    path = texture(64)
    before = path.copy()
    image_of(path, Optics(), absorption=np.ones_like(path))
    assert np.array_equal(path, before)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"na": 1.0}, "NA 1.0 with an immersion of index 1.0"),
        ({"na": 1.4, "immersion_index": 1.33}, "NA 1.4 with an immersion of index 1.33"),
        ({"na": -0.3}, "na is -0.3"),
        ({"pixel_size_um": 0.0}, "pixel_size_um is 0.0"),
        ({"wavelength_um": math.nan}, "wavelength_um is nan"),
        ({"medium_index": 0.9}, "refractive index 0.9"),
        ({"ring_na": (0.2, 0.35)}, "a phase ring from NA 0.2 to 0.35 in an objective of NA 0.3"),
        ({"ring_na": (0.14, 0.12)}, "a phase ring from NA 0.14 to 0.12"),
        ({"ring_transmission": 0.0}, "ring transmission 0.0"),
        ({"source_points": 0}, "source_points is 0; give 1 or more"),
        ({"source_points": 2.5}, "source_points is 2.5; give a whole number"),
        ({"defocus_um": math.inf}, "defocus_um is inf"),
        ({"ring_margin_na": math.inf}, "ring_margin_na is inf"),
        ({"modality": "dic", "shear_um": math.nan}, "shear_um is nan"),
        ({"modality": "dic", "shear_angle_rad": math.inf}, "shear_angle_rad is inf"),
        ({"modality": "dic", "bias_rad": math.inf}, "bias_rad is inf"),
        ({"modality": "brightfield", "condenser_na": 0.4}, "condenser of NA 0.4"),
        ({"modality": "dic", "bias_rad": 0.0}, "black background"),
        ({"modality": "confocal"}, "no modality 'confocal'"),
    ],
)
def test_what_no_microscope_has_is_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Optics(**values)


@pytest.mark.parametrize("workers", [0, -1])
def test_fewer_than_one_worker_is_refused(workers: int) -> None:
    with pytest.raises(InputError, match=f"{workers} workers; give at least 1"):
        image_of(np.zeros((64, 64)), Optics(), workers=workers)


def test_objects_that_are_no_image_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        image_of(np.zeros((4, 4, 4)), Optics())
    with pytest.raises(InputError, match="not finite"):
        image_of(np.full((64, 64), np.nan), Optics())
    with pytest.raises(InputError, match="absorption is"):
        image_of(np.zeros((64, 64)), Optics(), absorption=np.zeros((3, 3)))


def test_magnification_states_the_cameras_pixel() -> None:
    assert replace(Optics(), pixel_size_um=0.65, magnification=10).camera_pixel_um == 6.5
