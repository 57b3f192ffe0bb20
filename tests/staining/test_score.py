import json
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from unstained.errors import DataError, InputError
from unstained.images.pairs import Pairs
from unstained.staining.baselines import fit_baselines, local_sd
from unstained.staining.compare import compare_models, score_frame
from unstained.staining.score import score_panel
from unstained.staining.score_report import write_score_report
from unstained.staining.score_table import MOMENTS, ScoreSettings
from unstained.staining.scores import r_lap
from unstained.staining.verdict import verdict, verdicts
from unstained.statistics import moments_correlation, resampled_sums

QUICK = ScoreSettings(draws=200)


def save(path, image):
    assert cv2.imwrite(str(path), image)
    return str(path)


def field(rng, folder, i, *, side=96):
    """Phase planes: noise, structure + noise; stain = 20,000 - 4,000 structure + noise."""
    structure = ndimage.gaussian_filter(rng.normal(size=(side, side)), 3)
    structure /= structure.std()
    other = rng.normal(size=(side, side))
    stain = 20_000 - 4_000 * structure + rng.normal(0, 1_000, structure.shape)
    planes = [30_000 + 3_000 * p for p in (other, structure + 0.8 * other)]
    names = [save(folder / f"p{i}_{k}.png", p.astype(np.uint16)) for k, p in enumerate(planes)]
    truth = (20_000 - 4_000 * structure).astype(np.float32)
    return names, save(folder / f"s{i}.png", stain.astype(np.uint16)), truth


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Six test fields in six groups and two training fields; the noise-free truth of each."""
    folder, rng = tmp_path_factory.mktemp("fields"), np.random.default_rng(0)
    rows, truth = [], {}
    for i in range(8):
        names, stain, clean = field(rng, folder, i)
        split = "test" if i < 6 else "train"
        rows.append((";".join(names), stain, "DAPI", f"g{i}", split))
        truth[cv2.imread(names[0], -1).tobytes()] = clean
    table = pd.DataFrame(rows, columns=["phase", "stain", "marker", "group", "split"])
    return Pairs(table, root=folder), truth


def oracle(truth, gain=1.0, noise=0.0):
    rng = np.random.default_rng(1)

    def predict(phase, pixel_size_um):
        clean = truth[phase[0].tobytes()]
        mixed = clean.mean() + gain * (clean - clean.mean()) + rng.normal(0, 1, clean.shape) * noise
        return {"DAPI": mixed.astype(np.float32)}

    return predict


@pytest.fixture(scope="module")
def table(fields):
    return score_panel(oracle(fields[1]), fields[0], settings=QUICK)


def test_a_table_says_in_one_line_what_it_holds(table):
    assert repr(table) == "<ScoreTable of the split test: 6 pairs of DAPI>"


def test_summary_is_the_json_of_the_command_line(table):
    found = json.loads(json.dumps(table.summary(), allow_nan=False))
    assert list(found) == ["DAPI"]
    assert set(found["DAPI"]) >= {"r_s", "r_lap", "mae", "ssim", "c_max", "snr_rms", "snr_var"}
    for entry in found["DAPI"].values():
        assert set(entry) == {"mean", "n", "low", "high"}
    assert found["DAPI"]["r_s"]["n"] == 6


def test_the_truth_behind_a_noisy_stain_scores_the_ceiling(table):
    # var(signal) 4000^2, var(noise) 1000^2: c_max = sqrt(16 / 17) = 0.970
    found = table.summary()["DAPI"]
    assert found["r_s"]["mean"] == pytest.approx(np.sqrt(16 / 17), abs=0.005)
    assert found["c_max"]["mean"] == pytest.approx(np.sqrt(16 / 17), abs=0.01)
    # mean |normal noise| = sd sqrt(2 / pi)
    assert found["mae"]["mean"] == pytest.approx(1000 * np.sqrt(2 / np.pi), rel=0.02)


def test_the_kernel_of_r_lap_is_the_one_asked_for(fields):
    one = Pairs(fields[0].table.iloc[:1])
    (only,) = one.fields()
    stain, predict = only.read_stain("DAPI"), oracle(fields[1])
    prediction = predict(only.read_phase(), None)["DAPI"]
    for ksize in (5, 31):
        found = score_panel(predict, one, settings=replace(QUICK, ksize=ksize))
        # the command says r_lap of the model and of the baselines
        assert found.pairs["r_lap"].tolist() == pytest.approx(
            [r_lap(stain, prediction, ksize=ksize)]
        )
        plane = found.baselines.iloc[0]
        told = r_lap(stain, only.read_phase()[plane["plane"]].astype(float), ksize=ksize)
        assert plane["r_lap"] == pytest.approx(told)


def test_intervals_are_over_groups_where_there_are_three(table, fields):
    assert set(table.interval_over["DAPI"].values()) == {"groups"}
    few = Pairs(fields[0].table.assign(group=["a", "a", "a", "b", "b", "b", "c", "c"]))
    found = score_panel(oracle(fields[1]), few, settings=QUICK).interval_over["DAPI"]
    assert set(found.values()) == {"pairs"}


def test_fields_without_a_score_do_not_count_as_groups(fields):
    table = score_panel(oracle(fields[1]), fields[0], settings=QUICK)
    score = table.pairs["r_s"].where(np.arange(len(table.pairs)) >= len(table.pairs) - 4)
    left = replace(table, pairs=table.pairs.assign(r_s=score))
    entry = left.summary()[left.markers[-1]]["r_s"]
    known = score.dropna()
    # four groups of a pair each: Student's t of 3 degrees of freedom, 3.182, over sqrt(4)
    half = 3.182 / 2 * known.std()
    assert (entry["low"], entry["high"]) == pytest.approx(
        (known.mean() - half, known.mean() + half), abs=1e-5
    )


def test_amounts_of_two_fields_have_no_interval(fields):
    # their blocks are not independent: drawn one by one they gave a narrower interval, not a wider
    pairs, truth = fields
    two = Pairs(pairs.table.drop(index=range(2, 6)))
    found = score_panel(oracle(truth), two, settings=replace(QUICK, block_px=16))
    assert len(found.blocks("DAPI")) == 2 * 36
    assert found.interval_over["DAPI"]["amounts"] == ""
    assert found.interval_over["DAPI"]["mae"] == ""
    told = verdict(found, "DAPI")
    assert np.isnan([told.fit.slope.low, told.fit.intercept.high, told.fit.bias.low]).all()
    assert "no interval: 2 fields are too few, 3 are needed" in told.how_much_text
    r = found.correlation(found.blocks("DAPI"))
    blocks = found.blocks("DAPI")[["measured", "predicted"]]
    assert r.estimate == pytest.approx(blocks.corr().iloc[0, 1])
    assert np.isnan([r.low, r.high]).all()
    assert found.summary()["DAPI"]["mae"]["low"] is None


def test_amounts_of_an_only_field_are_drawn_by_its_parts(fields, tmp_path):
    pairs, truth = fields
    labels = np.zeros((96, 96), np.uint8)
    labels[2:8, 2:8], labels[12:18, 12:18], labels[90:95, 30:70] = 1, 2, 3
    path = save(tmp_path / "labels.png", labels)
    one = Pairs(pairs.table.drop(index=range(1, 6)).assign(labels=path))
    settings = replace(QUICK, part_px=32, block_px=16)
    found = score_panel(oracle(truth), one, settings=settings)
    # centers (4.5, 4.5), (14.5, 14.5), (92, 49.5) in a grid of three parts of 32 px a row
    assert found.cells("DAPI")["part"].tolist() == [0, 0, 6 + 1]
    blocks = found.blocks("DAPI")
    # six blocks a row, two a part: 0 0 1 1 2 2, the same again, then 3 3 ...
    assert blocks["part"].tolist()[4:14] == [2, 2, 0, 0, 1, 1, 2, 2, 3, 3]
    assert found.unit(blocks) == "parts of the only field"
    drawn = resampled_sums(
        np.column_stack([blocks["predicted"] - blocks["measured"], np.ones(36)]),
        lambda sums: sums[..., 0] / sums[..., 1],
        groups=blocks["part"],
        draws=200,
    )
    without = score_panel(oracle(truth), Pairs(one.table.drop(columns="labels")), settings=settings)
    assert verdict(without, "DAPI").fit.bias == pytest.approx(drawn)
    assert found.interval_over["DAPI"]["amounts"] == ""  # three cells lie in two parts


def test_baselines_take_plane_and_sign_from_the_training_pairs(table):
    phase = table.baselines[table.baselines["baseline"] == "phase"]
    assert set(phase["plane"]) == {1}  # the middle one, 2 // 2, too: see the next test
    # plane 1 is structure + 0.8 other: |r| = 1 / sqrt(1.64 * 17 / 16); its sign is turned
    expected = 1 / np.sqrt(1.64 * 17 / 16)
    assert phase["r_s"].mean() == pytest.approx(expected, abs=0.02)


def test_test_pixels_do_not_choose_the_baseline(fields):
    # training stains that go with the noise plane: the baseline must follow them and fail
    pairs, truth = fields
    training = pairs.of_split("train").fields()
    misled = pairs.table.copy()
    for row, f in zip(misled.index[misled["split"] == "train"], training, strict=True):
        path = pairs.root / f"misled{row}.png"
        wrong = f.read_phase()[0] / 2 + np.random.default_rng(row).normal(0, 900, f.shape)
        misled.loc[row, "stain"] = save(path, wrong.astype(np.uint16))
    found = score_panel(oracle(truth), Pairs(misled), settings=QUICK).baselines
    phase = found[found["baseline"] == "phase"]
    assert set(phase["plane"]) == {0}
    assert abs(phase["r_s"].mean()) < 0.05


def test_without_training_pairs_the_middle_plane_stands_as_it_is(fields):
    pairs = fields[0].of_split("test")
    found = score_panel(oracle(fields[1]), pairs, settings=QUICK)
    phase = found.baselines[found.baselines["baseline"] == "phase"]
    assert (phase["r_s"] < -0.5).all()
    assert phase["mae"].isna().all()
    assert any("no training pairs" in note for note in found.notes)


def test_mean_stain_of_training_explains_nothing_but_has_an_error(table):
    found = table.baseline_summary()["DAPI"]["mean stain"]
    assert found["r_s"]["mean"] == 0
    # mean |normal| of sd sqrt(4000^2 + 1000^2)
    assert found["mae"]["mean"] == pytest.approx(
        np.hypot(4000, 1000) * np.sqrt(2 / np.pi), rel=0.05
    )


def test_local_sd_is_the_sd_of_the_window():
    image = np.random.default_rng(2).normal(50_000, 10, (20, 20))
    assert local_sd(image, 5)[10, 7] == pytest.approx(image[8:13, 5:10].std())


def test_baseline_line_is_the_least_squares_line(fields):
    training = fields[0].of_split("train").fields()
    line = fit_baselines(training, "DAPI")[0]
    x = np.concatenate([f.read_phase()[1].ravel() for f in training]).astype(float)
    y = np.concatenate([f.read_stain("DAPI").ravel() for f in training]).astype(float)
    assert [line.slope, line.offset] == pytest.approx(np.polyfit(x, y, 1))


def test_a_stain_that_is_its_own_phase_image_is_refused(fields):
    pairs = fields[0].of_split("test")
    copied = pairs.table.copy()
    copied.loc[2, "stain"] = copied.loc[2, "phase"].split(";")[1]
    with pytest.raises(DataError, match=r"p2_1\.png: DAPI is a copy of the label-free input"):
        score_panel(oracle(fields[1]), Pairs(copied), settings=QUICK)


def test_an_empty_split_is_an_error_that_names_the_others(fields):
    with pytest.raises(
        DataError, match="no pairs in split 'validation'; the splits are test, train"
    ):
        score_panel(oracle(fields[1]), fields[0], split="validation")


def test_all_pairs_can_be_scored(fields):
    assert len(score_panel(oracle(fields[1]), fields[0], split="all", settings=QUICK).pairs) == 8


def test_what_is_noted_of_the_pairs_is_noted_of_their_scores(fields):
    pairs, truth = fields
    told = replace(pairs, notes=("1 test groups were trained on",))
    found = score_panel(oracle(truth), told, settings=QUICK)
    assert "1 test groups were trained on" in found.notes


def test_a_marker_without_prediction_is_noted_and_none_is_an_error(fields):
    pairs, truth = fields
    double = pd.concat([pairs.table, pairs.table.assign(marker="CD44")])
    found = score_panel(oracle(truth), Pairs(double), settings=QUICK)
    assert found.markers == ("DAPI",)
    assert "CD44 is in the pairs but not predicted by this model" in found.notes
    with pytest.raises(DataError, match="no marker of CD44 is predicted"):
        score_panel(oracle(truth), Pairs(pairs.table.assign(marker="CD44")), settings=QUICK)


def test_a_prediction_of_another_shape_names_the_stain(fields):
    with pytest.raises(DataError, match=r"s0\.png.*\(95, 96\)"):
        score_panel(lambda *_: {"DAPI": np.zeros((95, 96), np.float32)}, fields[0], settings=QUICK)


def test_a_constant_stain_is_counted_out_with_its_reason(fields, tmp_path):
    pairs, truth = fields
    flat = pairs.table.copy()
    flat.loc[0, "stain"] = save(tmp_path / "flat.png", np.full((96, 96), 500, np.uint16))
    found = score_panel(oracle(truth), Pairs(flat), settings=QUICK)
    assert len(found.pairs) == 6
    assert found.summary()["DAPI"]["r_s"]["n"] == 5
    assert "the stain is constant" in found.pairs["note"][0]
    assert any("1 constant stains" in note and "DAPI of" in note for note in found.notes)


def test_an_only_field_has_an_interval_of_r_s_over_its_parts(fields):
    pairs, truth = fields
    one = Pairs(pairs.table.drop(index=range(1, 6)))
    quick = replace(QUICK, part_px=32)  # 9 parts of 96 x 96 px
    found = score_panel(oracle(truth, noise=4_000), one, settings=quick)
    over = found.interval_over["DAPI"]
    assert (over["r_s"], over["r_lap"]) == ("parts of the only field", "")
    r_s = found.summary()["DAPI"]["r_s"]
    assert r_s["n"] == 1
    assert r_s["low"] < r_s["mean"] < r_s["high"]
    # Fisher's z: tanh(0.85 +- 1.96 / sqrt(n - 3)); structures of sd 3 px leave some 80 samples
    assert 0.02 < r_s["high"] - r_s["low"] < 0.3
    # nine parts make the pair: pooled, their moments are its r_s
    assert len(found.parts) == 9
    pooled = moments_correlation(found.parts[list(MOMENTS)].sum().to_numpy())
    assert pooled == pytest.approx(r_s["mean"])


# single cells ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """120 cells of 20 x 20 px in one montage: G1 holds 100,000 to 140,000, G2 twice that."""
    folder, rng = tmp_path_factory.mktemp("cells"), np.random.default_rng(3)
    disk = np.hypot(*np.mgrid[-9.5:10, -9.5:10]) < 6
    phase = rng.normal(1000, 50, (20, 2400))
    stain = np.full((20, 2400), 300.0)
    rows, total = [], []
    for i in range(120):
        class_ = "G1" if i % 2 else "G2"
        total.append(rng.uniform(100e3, 140e3) * (1 if class_ == "G1" else 2))
        inside = slice(20 * i, 20 * i + 20)
        stain[:, inside] += disk * total[-1] / disk.sum()
        phase[:, inside] += disk * total[-1] / 1000
        rows.append((f"0:20,{20 * i}:{20 * i + 20}", f"c{i:03d}", class_))
    table = pd.DataFrame(rows, columns=["region", "cell", "phase_of_cycle"]).assign(
        phase=save(folder / "phase.png", phase.astype(np.uint16)),
        stain=save(folder / "dna.png", np.round(stain).astype(np.uint16)),
        marker="DNA",
        group="experiment",
        split=["test" if i < 100 else "train" for i in range(120)],
    )
    return Pairs(table), np.array(total), disk


def crude(disk, calls=None):
    """Knows only the class: every cell of a class gets the same total, plus noise."""
    rng = np.random.default_rng(4)

    def predict_batch(phases):
        if calls is not None:
            calls.append(phases.shape)
        bright = phases[:, 0][:, disk].mean(axis=1) > 1180
        total = np.where(bright, 240e3, 120e3) + rng.normal(0, 5e3, len(phases))
        return {"DNA": (300 + disk * (total / disk.sum())[:, None, None]).astype(np.float32)}

    return predict_batch


def test_cells_are_predicted_in_batches(cells):
    pairs, _, disk = cells
    calls = []
    settings = ScoreSettings(draws=50, batch=64)
    score_panel(lambda p, um: {}, pairs, predict_batch=crude(disk, calls), settings=settings)
    assert calls == [(64, 1, 20, 20), (36, 1, 20, 20)]


@pytest.fixture(scope="module")
def cell_table(cells):
    pairs, _, disk = cells
    return score_panel(lambda p, um: {}, pairs, predict_batch=crude(disk), settings=QUICK)


def test_measured_total_of_a_cell_is_what_was_put_in(cells, cell_table):
    measured = cell_table.cells("DNA")["measured"]
    assert measured.to_numpy() == pytest.approx(cells[1][:100], rel=0.002)


def test_range_of_the_classes_is_told_from_skill(cell_table):
    # the crude model separates the classes and knows nothing within them
    entry = cell_table.summary()["DNA"]
    assert entry["cell_r"]["mean"] > 0.9
    assert entry["cell_r"]["n"] == 100
    assert set(entry["cell_r_within"]) == {"G1", "G2"}
    assert all(abs(within["mean"]) < 0.35 for within in entry["cell_r_within"].values())
    assert entry["pixel_r"]["n"] == 100
    assert verdict(cell_table, "DNA").how_much == "order"


def test_pixel_r_pools_the_pixels_of_all_cells(cells, cell_table):
    pairs, _, disk = cells
    fields = pairs.of_split("test").fields()
    stain = np.stack([f.read_stain("DNA") for f in fields])
    again = crude(disk)(np.stack([f.read_phase() for f in fields]))["DNA"]
    expected = np.corrcoef(stain.ravel(), again.ravel())[0, 1]
    assert cell_table.summary()["DNA"]["pixel_r"]["mean"] == pytest.approx(expected, abs=1e-3)


def test_single_and_batched_prediction_score_alike(cells):
    pairs, _, disk = cells

    def exact(phases):
        total = (phases[:, 0] - 1000.0)[:, disk].sum(axis=1) * 1000 / disk.sum()
        return {"DNA": (300 + disk * (total / disk.sum())[:, None, None]).astype(np.float32)}

    def one(phase, pixel_size_um):
        return {m: v[0] for m, v in exact(phase[None]).items()}

    batched = score_panel(one, pairs, predict_batch=exact, settings=QUICK)
    single = score_panel(one, pairs, settings=QUICK)
    pd.testing.assert_frame_equal(batched.pairs, single.pairs)
    assert verdict(batched, "DNA").how_much == "expression"


def test_cells_of_a_label_image_are_scored_by_their_totals(fields, tmp_path):
    pairs, truth = fields
    labels = np.zeros((96, 96), np.uint8)
    for k in range(9):
        y, x = divmod(k, 3)
        labels[32 * y + 4 : 32 * y + 20, 32 * x + 4 : 32 * x + 20] = k + 1
    path = save(tmp_path / "labels.png", labels)
    found = score_panel(oracle(truth), Pairs(pairs.table.assign(labels=path)), settings=QUICK)
    assert len(found.cells("DAPI")) == 6 * 9
    assert found.summary()["DAPI"]["cell_r"]["mean"] > 0.98
    assert verdict(found, "DAPI").unit == "cell"


# verdicts -------------------------------------------------------------------------------------


def test_the_truth_is_right_and_may_be_read_as_expression(table):
    found = verdicts(table)["DAPI"]
    assert (found.where, found.how_much) == ("right", "expression")
    assert found.unit == "block"
    assert found.share_s == pytest.approx(1.0, abs=0.02)
    assert found.fit.slope.estimate == pytest.approx(1.0, abs=0.05)
    assert "may be read as expression" in str(found)


def test_the_ceiling_of_a_smoothed_stain_is_said_to_be_one_at_most(fields, tmp_path):
    pairs, truth = fields
    one = pairs.table.iloc[:1].copy()
    raw = score_panel(oracle(truth), Pairs(one), settings=QUICK)
    assert "being smoothed" not in verdict(raw, "DAPI").where_text
    stain = cv2.imread(one.loc[0, "stain"], -1)
    one.loc[0, "stain"] = save(tmp_path / "filtered.png", cv2.medianBlur(stain, 3))
    told = verdict(score_panel(oracle(truth), Pairs(one), settings=QUICK), "DAPI").where_text
    assert "at most, the stain being smoothed" in told


def test_a_pattern_at_half_its_contrast_is_right_but_no_expression(fields):
    found = verdict(score_panel(oracle(fields[1], 0.5), fields[0], settings=QUICK), "DAPI")
    assert (found.where, found.how_much) == ("right", "order")
    assert found.fit.slope.estimate == pytest.approx(0.5, abs=0.03)


def test_a_level_that_is_off_is_no_expression(fields):
    exact = oracle(fields[1])

    def predict(phase, pixel_size_um):
        return {"DAPI": exact(phase, pixel_size_um)["DAPI"] + 3_000}

    shifted = score_panel(predict, fields[0], settings=QUICK)
    found = verdict(shifted, "DAPI")
    assert found.how_much == "order"
    assert found.bias_of_range > 0.1


def test_a_model_below_a_baseline_is_wrong_whatever_its_score(fields):
    # the phase baseline reaches r = 0.76; this noise brings the truth to about 0.97 * 0.71
    found = verdict(score_panel(oracle(fields[1], noise=4_000), fields[0], settings=QUICK), "DAPI")
    assert found.where == "wrong"
    assert "no better than a baseline that needs no model, phase" in found.where_text


def test_a_gain_that_few_fields_do_not_tell_from_nothing_is_no_verdict(fields):
    # gains of 0.1, 0.2 and 0.6 over the best baseline: 0.3 +- 4.303 x 0.265 / sqrt(3) = 0.66
    pairs, truth = fields
    three = Pairs(pairs.table.drop(index=range(3, 6)), pairs.root)
    found = score_panel(oracle(truth), three, settings=QUICK)
    best = found.baselines["baseline"] == verdict(found, "DAPI").baseline
    score = found.baselines.loc[best, "r_s"].to_numpy() + np.array([0.1, 0.2, 0.6])
    said = verdict(replace(found, pairs=found.pairs.assign(r_s=score)), "DAPI")
    assert said.where == "unknown"
    assert "r_s is 0.30 [-0.36, 0.96] above a baseline that needs no model" in said.where_text


def test_noise_is_no_pattern(fields):
    found = verdict(score_panel(oracle(fields[1], 0.0, 500), fields[0], settings=QUICK), "DAPI")
    assert (found.where, found.how_much) == ("wrong", "no")


def test_a_few_blocks_give_no_verdict_on_amounts(fields):
    one = fields[0].table.iloc[[0, 6, 7]]
    found = verdict(score_panel(oracle(fields[1]), Pairs(one), settings=QUICK), "DAPI")
    assert found.how_much == "unknown"  # 9 blocks of 32 px
    assert found.where == "right"


# comparisons ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(fields):
    pairs, truth = fields
    noises = {"good": 0.0, "fair": 1_500.0, "poor": 4_000.0}
    return {
        k: score_panel(oracle(truth, noise=v), pairs, settings=QUICK) for k, v in noises.items()
    }


def test_models_are_compared_pair_by_pair_and_corrected_by_holm(models):
    found = compare_models(models)
    # six groups, all in one direction: p = 2 / 64 each; Holm times 3, 3 x then monotone
    assert found["p"].tolist() == pytest.approx([2 / 64] * 3)
    assert found["p_holm"].tolist() == pytest.approx([6 / 64] * 3)
    assert found["stars"].tolist() == ["ns"] * 3
    assert (found["difference"] > 0).all()
    assert compare_models(models, test="t")["stars"].str.startswith("*").all()


def test_models_scored_on_different_pairs_are_not_compared(models, fields):
    fewer = Pairs(fields[0].table.iloc[:5])
    other = score_panel(oracle(fields[1]), fewer, settings=QUICK)
    with pytest.raises(DataError, match="scored on different pairs of DAPI: 1 are in one only"):
        compare_models({"a": models["good"], "b": other})


def test_fields_of_one_group_are_one_unit(models):
    table = models["good"]
    doubled = [
        type(table)(
            pd.concat([t.pairs, t.pairs.assign(pair=t.pairs["pair"] + "'")]),
            t.amounts,
            t.baselines,
            t.parts,
        )
        for t in (table, models["poor"])
    ]
    found = compare_models({"a": doubled[0], "b": doubled[1]})
    assert (found["n"][0], found["over"][0]) == (6, "groups")


def test_score_frame_holds_every_pair_of_every_model(models):
    frame = score_frame(models)
    drawn = ("good", "fair", "poor", "phase", "local SD", "mean stain")
    assert frame.groupby("model").size().to_dict() == dict.fromkeys(drawn, 6)


def test_a_report_compares_models_by_every_score_of_likeness(models, tmp_path):
    write_score_report(models, tmp_path)
    for score in ("r_s", "r_lap", "mae", "ssim"):
        assert (tmp_path / f"boxplot_{score}.png").stat().st_size > 0
        found = pd.read_csv(tmp_path / f"comparison_{score}.csv").iloc[1]
        assert found[["model_a", "model_b", "score"]].tolist() == ["good", "poor", score]
        # every field is a group: the mean difference of pairs
        good, poor = (models[name].pairs[score].mean() for name in ("good", "poor"))
        assert found["difference"] == pytest.approx(good - poor)
    # |normal| of sd 1000, and of sd sqrt(1000^2 + 4000^2); grey values
    error = pd.read_csv(tmp_path / "comparison_mae.csv").iloc[1]["difference"]
    expected = (1_000 - np.hypot(1_000, 4_000)) * np.sqrt(2 / np.pi)
    assert error == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    "wrong",
    [{"ksize": 4}, {"ksize": 33}, {"block_px": 0}, {"part_px": 0}, {"window_px": -3}, {"draws": 0}],
    ids=str,
)
def test_sizes_of_a_score_that_cannot_be_are_refused_before_anything_is_predicted(
    wrong: dict[str, int],
) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        ScoreSettings(**wrong)
