"""Methods side by side, scores, and what is written of them; textures of 24 px, no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from unstained.colonies import compare_report
from unstained.colonies.classifier import ColonyClassifier
from unstained.colonies.compare_report import advice, compare_tests, summary, write_comparison
from unstained.colonies.comparison import Comparison, Plan, compare, parse_arms
from unstained.colonies.evaluation import evaluate, prediction_table
from unstained.colonies.examples import Examples, load_examples
from unstained.colonies.fraction_report import with_conditions, write_fractions
from unstained.colonies.training import held_out, train_model
from unstained.errors import DataError, FileError, InputError, ModelError
from unstained.images import write_png

GRAINS = {"fine": 1, "coarse": 4}
QUICK = {"views": 1, "validation": 0.3}


def texture(class_: str, rng: np.random.Generator) -> np.ndarray:
    grain = GRAINS[class_]
    coarse = rng.integers(80, 180, (24 // grain, 24 // grain))
    return np.kron(coarse, np.ones((grain, grain))).astype(np.uint8)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight wells of twelve images; a third of the wells' images are coarse."""
    folder = tmp_path_factory.mktemp("textures")
    rng = np.random.default_rng(0)
    rows = []
    for well in range(8):
        for i in range(12):
            class_ = "coarse" if i % 3 == 0 else "fine"
            write_png(texture(class_, rng), folder / f"w{well}_{i}.png")
            row = {"image": f"w{well}_{i}.png", "label": class_, "well": f"w{well}", "frame": i}
            rows.append({**row, "treatment": "treated" if well % 2 else "control"})
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def examples(manifest: Path) -> Examples:
    return load_examples(manifest)


@pytest.fixture(scope="module")
def found(examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    arms = parse_arms(["features", "features:posthoc=1"])
    plan = Plan(folds=4, labelled=(0.1, 0.3), common=QUICK)
    return compare(examples, arms, tmp_path_factory.mktemp("compared") / "out", plan)


def test_every_image_is_tested_once_by_each_arm_at_each_share(
    found: Comparison, examples: Examples
) -> None:
    for _, part in found.predictions.groupby(["arm", "labelled"]):
        assert sorted(part["row"]) == list(range(len(examples)))


def test_no_group_is_taught_and_tested(found: Comparison) -> None:
    folds = found.predictions.groupby("group")["fold"].nunique()
    assert folds.max() == 1


def test_the_test_part_stays_when_the_labelled_share_changes(found: Comparison) -> None:
    fold_of = found.predictions.groupby(["row", "labelled"])["fold"].first().unstack()
    assert (fold_of[0.1] == fold_of[0.3]).all()


def test_the_labelled_images_are_the_share_that_was_asked_for(found: Comparison) -> None:
    # 10 and 30 % of 96 images
    shown = found.runs.groupby("labelled")["n_labelled"].unique()
    assert shown[0.1].tolist() == [10]
    assert shown[0.3].tolist() == [29]


def test_pooled_recall_is_the_share_of_right_ones_of_each_class(found: Comparison) -> None:
    part = found.predictions.query("arm == 'features' and labelled == 0.3")
    right = part["true"] == part["predicted"]
    by_hand = np.mean([right[part["true"] == k].mean() for k in (0, 1)])
    row = summary(found).query("arm == 'features' and labelled == 0.3").iloc[0]
    assert row["recall"] == pytest.approx(by_hand)
    assert by_hand > 0.9  # grains of 1 and 4 px are easily told apart


def test_equal_predictions_have_no_difference_and_p_of_one(found: Comparison) -> None:
    same = found.predictions.query("arm == 'features'")
    twice = pd.concat([same, same.assign(arm="again")], ignore_index=True)
    runs = found.runs.query("arm == 'features'")
    both = pd.concat([runs, runs.assign(arm="again")], ignore_index=True)
    tests = compare_tests(Comparison(twice, both, found.classes, found.notes, found.folder))
    assert tests["difference"].tolist() == [0, 0]
    assert tests["p_holm"].tolist() == [1, 1]


def errors_of_two_arms(groups: list[str], tmp_path: Path) -> pd.Series:
    """The row of tests.csv where of 8 images arm a errs in none and b in the first six."""
    image = {"row": range(8), "true": 0, "group": groups, "labelled": 0.1, "fold": [0, 1] * 4}
    a = pd.DataFrame({**image, "arm": "a", "predicted": 0})
    b = pd.DataFrame({**image, "arm": "b", "predicted": [1] * 6 + [0] * 2})
    runs = pd.DataFrame({"labelled": [0.1], "n_test": [4], "n_labelled": [4], "n_unlabelled": [0]})
    found = Comparison(pd.concat([a, b]), runs, ("x", "y"), (), tmp_path)
    return compare_tests(found).iloc[0]


def test_images_of_one_well_that_err_together_count_as_one(tmp_path: Path) -> None:
    # wells of 3, 3 and 2 images: +-3 +-3, 2 of the 4 sums are as far from 0 as 6
    wells = errors_of_two_arms(["w0"] * 3 + ["w1"] * 3 + ["w2"] * 2, tmp_path)
    assert wells["p_errors"] == pytest.approx(2 / 4)
    assert wells["errors_test"] == "sign flips of groups"


def test_images_of_wells_of_their_own_are_tested_by_mcnemar(tmp_path: Path) -> None:
    # six images tell, all for a: 2 / 2^6
    alone = errors_of_two_arms([f"image {i}" for i in range(8)], tmp_path)
    assert alone["p_errors"] == pytest.approx(2 / 64)
    assert alone["errors_test"] == "mcnemar"


def test_a_finished_comparison_is_not_run_again(
    found: Comparison, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object) -> None:
        raise AssertionError("a run began")

    monkeypatch.setattr("unstained.colonies.comparison._run", never)
    arms = parse_arms(["features", "features:posthoc=1"])
    again = compare(examples, arms, found.folder, Plan(4, (0.1, 0.3), common=QUICK))
    pd.testing.assert_frame_equal(again.predictions, found.predictions)


def test_a_comparison_goes_on_when_its_images_have_moved(
    found: Comparison, manifest: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(manifest.parent, tmp_path / "moved")
    table = pd.read_csv(manifest)
    table["image"] = [str(moved / name) for name in table["image"]]  # and is named in full
    table.to_csv(tmp_path / "named.csv", index=False)
    plan = Plan(4, (0.1, 0.3), common=QUICK)
    arms = parse_arms(["features", "features:posthoc=1"])
    again = compare(load_examples(tmp_path / "named.csv"), arms, found.folder, plan)
    pd.testing.assert_frame_equal(again.predictions, found.predictions)


def test_a_comparison_of_other_images_is_refused(
    found: Comparison, manifest: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(manifest)
    table["image"] = table["image"].map(lambda name: f"other_{name}")
    for old, new in zip(pd.read_csv(manifest)["image"], table["image"], strict=True):
        shutil.copy(manifest.parent / old, tmp_path / new)
    table.to_csv(tmp_path / "manifest.csv", index=False)
    examples = load_examples(tmp_path / "manifest.csv")
    with pytest.raises(InputError, match="other data"):
        compare(examples, parse_arms(["features"]), found.folder, Plan(4, (0.1, 0.3)))


def test_a_folder_with_a_comparison_of_other_folds_is_refused(
    found: Comparison, examples: Examples
) -> None:
    with pytest.raises(InputError, match="other folds"):
        compare(examples, parse_arms(["features"]), found.folder, Plan(3, (0.1,)))


def test_a_damaged_note_of_a_comparison_is_named(
    found: Comparison, examples: Examples, tmp_path: Path
) -> None:
    shutil.copytree(found.folder, tmp_path / "out")
    (tmp_path / "out" / "plan.json").write_text('{"data": ')
    with pytest.raises(FileError, match=r"plan\.json: cannot be read .*name a new one"):
        compare(examples, parse_arms(["features"]), tmp_path / "out", Plan(4, (0.1,)))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("run.json", lambda text: "{}", r"run\.json: cannot be read \('n_coarse'\)"),
        (
            "run.json",
            lambda text: text.replace('"n_test": 24', '"n_test": null'),
            r"run\.json: cannot be read \(n_test is None",
        ),
        ("predictions.csv", lambda text: "", r"predictions\.csv: is not what was predicted"),
        (
            "predictions.csv",
            lambda text: "".join(text.splitlines(keepends=True)[:3]),
            r"predictions\.csv: has 2 images, and run\.json says 24",
        ),
        (
            "predictions.csv",
            lambda text: text.replace("\n", "\n9", 1),
            "rows are not those of the images",
        ),
    ],
)
def test_a_run_that_was_changed_by_hand_is_named_not_averaged(
    found: Comparison,
    examples: Examples,
    tmp_path: Path,
    name: str,
    change: Callable[[str], str],
    said: str,
) -> None:
    shutil.copytree(found.folder, tmp_path / "out")
    file = next((tmp_path / "out" / "runs").rglob("labelled-0.1/fold-0")) / name
    file.write_text(change(file.read_text()))
    arms = parse_arms(["features", "features:posthoc=1"])
    with pytest.raises(FileError, match=said + r".*; remove .*fold-0: the run is made again"):
        compare(examples, arms, tmp_path / "out", Plan(4, (0.1,), common=QUICK))


def test_what_cannot_be_learned_is_told_before_anything_is_trained(
    examples: Examples, tmp_path: Path
) -> None:
    """With all labels shown nothing is left for pseudo-labels; the small share comes first."""
    begun: list[str] = []
    with pytest.raises(DataError, match=r"ipb, 100% labelled, fold 0: ipb learns from unlabelled"):
        compare(
            examples,
            parse_arms(["features", "ipb"]),
            tmp_path / "out",
            Plan(4, (0.2, 1.0), common=QUICK),
            report=lambda name, done, of: begun.append(name),
        )
    assert not begun


def test_tables_and_figures_are_written(
    found: Comparison, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = {}

    def saved(figure: Figure, path: Path) -> Path:
        titles[path.name] = figure.get_suptitle()
        return save_figure(figure, path)

    save_figure = compare_report.save_figure
    monkeypatch.setattr(compare_report, "save_figure", saved)
    written = {path.name for path in write_comparison(found, examples)}
    assert {"summary.csv", "classes.csv", "tests.csv", "summary.md"} <= written
    assert {"methods-0.1.png", "labels.png", "confusion.png", "mistakes.png"} <= written
    text = (found.folder / "summary.md").read_text(encoding="utf-8")
    assert "| features | 10 % |" in text
    table = summary(found)
    best = table.loc[table["recall"].idxmax()]
    of = f"{best['arm']}, {100 * best['labelled']:g} % labelled"
    assert f"confusion.png and mistakes.png are of {of}, of all folds together." in text
    assert {titles[name] for name in ("confusion.png", "mistakes.png")} == {of}


def test_a_share_that_the_training_parts_cannot_give_is_noted(
    found: Comparison, examples: Examples, tmp_path: Path
) -> None:
    assert not any("asked for" in note for note in found.notes)  # 10 and 29 of 96: given
    # 0.7 x 96 = 67 were asked for; one fold of two leaves 48 to learn from
    arms = parse_arms(["features"])
    few = compare(examples, arms, tmp_path / "out", Plan(2, (0.7,), common=QUICK, only=1))
    assert few.notes[-1] == (
        "70 % labelled asked for 67 of 96 images, and the training parts were given 48 labels"
    )


def test_true_shares_of_the_hidden_labels_are_drawn_beside_the_predicted(
    found: Comparison, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {}
    monkeypatch.setattr(
        "unstained.colonies.compare_report.learning_figures",
        lambda history, names, folder, true: drawn.update({folder: true}) or [],
    )
    run = next(found.folder.glob("runs/*/labelled-0.1/fold-0/run.json"))
    run.with_name("student.jsonl").touch()
    write_comparison(found, examples)
    run.with_name("student.jsonl").unlink()
    # six wells of 4 coarse and 8 fine to learn from, 10 of these labelled, some of them coarse
    coarse = json.loads(run.read_text(encoding="utf-8"))["labels"]["coarse"]
    share = (6 * 4 - coarse) / (6 * 12 - 10)
    assert drawn == {run.parent: pytest.approx({"coarse": share, "fine": 1 - share})}


def test_true_shares_are_not_drawn_where_some_images_have_no_label(
    examples: Examples, tmp_path: Path
) -> None:
    label = examples.table["label"].where(examples.table["frame"] != "0", "")
    some = Examples(examples.table.assign(label=label), examples.root, examples.name)
    plan = Plan(4, (0.1,), common=QUICK, only=1)
    compare(some, parse_arms(["features"]), tmp_path / "out", plan)
    (run,) = (tmp_path / "out").glob("runs/*/*/fold-0/run.json")
    assert json.loads(run.read_text(encoding="utf-8"))["hidden"] == {}


def test_classes_named_like_the_parts_leave_the_numbers_of_the_parts_alone(
    examples: Examples, tmp_path: Path
) -> None:
    named = examples.table["label"].map({"coarse": "test", "fine": "labelled"})
    renamed = Examples(examples.table.assign(label=named), examples.root, examples.name)
    arms, plan = parse_arms(["features"]), Plan(4, (0.1,), common=QUICK, only=1)
    new = compare(renamed, arms, tmp_path / "out", plan).runs.iloc[0]
    assert (new["n_test"], new["n_labelled"], new["n_unlabelled"]) == (24, 10, 62)
    assert new["labels_test"] + new["labels_labelled"] == 10
    # as earlier versions wrote it: the classes in the place of the parts
    (file,) = (tmp_path / "out").glob("runs/*/*/fold-0/run.json")
    said = json.loads(file.read_text(encoding="utf-8"))
    del said["hidden"]
    said |= {f"n_{name}": n for name, n in said.pop("labels").items()}
    file.write_text(json.dumps(said), encoding="utf-8")
    old = compare(renamed, arms, tmp_path / "out", plan).runs.iloc[0]
    pd.testing.assert_series_equal(old, new)


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"folds": 2, "only": 3}, "only 3 of 2 folds"),
        ({"only": -1}, "only is -1; give 1 or more"),
        ({"only": 0}, "only is 0; give 1 or more"),
        ({"labelled": ()}, "labelled ''; give shares"),
        ({"labelled": (0.1, 1.5)}, "labelled '0.1,1.5'; give shares"),
        ({"labelled": (0.1, 0.1)}, "each once"),
    ],
)
def test_plans_that_cannot_be_run_are_refused_at_once(plan: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Plan(**plan)


def test_the_next_labels_are_of_the_class_whose_recall_still_rises(tmp_path: Path) -> None:
    # class a: 10 of 20 right with 10 labels, 15 with 20; class b: 20 of 20 with any
    rows, runs = [], []
    for share, right in ((0.1, 10), (0.2, 15)):
        for i in range(20):
            rows.append({"true": 0, "predicted": 0 if i < right else 1, "row": i})
            rows.append({"true": 1, "predicted": 1, "row": 20 + i})
            for row in rows[-2:]:
                row |= {"arm": "m", "labelled": share, "fold": 0, "group": str(row["row"])}
        runs.append({"arm": "m", "labelled": share, "fold": 0, "seconds": 1.0})
        runs[-1] |= {"labels_a": 100 * share, "labels_b": 100 * share}
    found = Comparison(pd.DataFrame(rows), pd.DataFrame(runs), ("a", "b"), (), tmp_path)
    # recall rises by 0.25 / log 2 for each e-fold; log((20 + 50) / 20) of them would pass 1: the
    # room is 0.25 of a's recall, half of that of the mean
    assert "should be of a: macro recall +0.125" in advice(found)


def test_methods_named_twice_are_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        parse_arms(["features", "features"])


def test_networks_scales_and_multi_label_make_every_row_of_the_table() -> None:
    arms = parse_arms(["supervised", "ipb"], ["vgg19", "hrnet"], [1, 2], [True, False])
    assert len(arms) == 2 * 2 * 2 * 2
    assert arms[0].name == "supervised network=vgg19 scales=1 multi_label=True"


def test_a_model_is_scored_on_the_groups_that_were_set_aside(
    examples: Examples, tmp_path: Path
) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    kept = held_out(model, examples, "test")
    assert set(kept.table["group"]) == set(model.about["test_groups"])
    assert 0 < len(kept) < len(examples)
    # a model that came from Windows names its data with \
    model.about["data"] = f"D:\\plates\\{Path(examples.name).name}"
    assert len(held_out(model, examples, "test")) == len(kept)
    result = evaluate(model, kept)
    assert result.scores.macro["recall"].estimate > 0.9
    said = json.loads(json.dumps(result.as_dict()))
    assert set(said["classes"]) == {"coarse", "fine"}
    assert said["classes"]["fine"]["n"] + said["classes"]["coarse"]["n"] == len(kept)


def test_scores_on_what_taught_the_model_are_noted(examples: Examples, tmp_path: Path) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    aside = held_out(model, examples, "test").notes[-1]
    assert aside.startswith("scored on the 1 group that training set aside")
    # the same wells under another name: seven of the eight were learned from
    copied = Examples(examples.table, examples.root, "copied.csv")
    assert held_out(model, copied, "test").notes[-1].startswith("7 groups with the name of")


def test_a_class_in_one_group_is_noted(examples: Examples, tmp_path: Path) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    coarse, well = examples.table["label"] == "coarse", examples.table["well"]

    def notes(wells: list[str]) -> list[str]:
        some = Examples(examples.table[~coarse | well.isin(wells)], examples.root, "some")
        return [note for note in evaluate(model, some).notes if "of 8 groups" in note]

    assert notes(["w0"]) == ["coarse is in 1 of 8 groups: its scores have no interval"]
    assert notes(["w0", "w1"]) == []
    # where each image is its own group, images are counted
    rare = examples.table[~coarse | (np.cumsum(coarse) == 1)]
    alone = Examples(rare.assign(group=""), examples.root, "alone")
    said = evaluate(model, alone).notes[-1]
    assert said == f"coarse is in 1 of {len(rare)} images: its scores have no interval"


def test_a_model_folder_that_exists_is_not_overwritten(examples: Examples, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(FileError, match=r"exists already; .* resume"):
        train_model(examples, tmp_path / "model", "features", QUICK)


def test_a_finished_model_is_resumed_with_its_own_data_and_settings_alone(
    examples: Examples, tmp_path: Path
) -> None:
    def train(images: Examples, how: dict[str, Any], *, resume: bool = True) -> ColonyClassifier:
        return train_model(images, tmp_path / "model", "features", how, resume=resume)

    finished = train(examples, QUICK, resume=False)
    file = tmp_path / "model" / "model.safetensors"
    written = file.stat().st_mtime_ns
    again = train(examples, QUICK)
    assert again.about == finished.about
    assert file.stat().st_mtime_ns == written  # nothing was trained
    with pytest.raises(FileError, match=r"a finished model; choose another name or remove it$"):
        train(examples, QUICK, resume=False)
    with pytest.raises(InputError, match="other views"):
        train(examples, {**QUICK, "views": 2})
    other = examples.table.assign(label=examples.table["label"].iloc[::-1].to_numpy())
    with pytest.raises(InputError, match="other labels"):
        train(Examples(other, examples.root, "other"), QUICK)
    (tmp_path / "model" / "training" / "run.json").unlink()
    with pytest.raises(FileError, match="a finished model"):  # of what, nobody knows
        train(examples, QUICK)


def test_a_class_with_too_few_images_is_told_with_the_table(
    examples: Examples, tmp_path: Path
) -> None:
    rare = examples.table.assign(split="train")
    rare.loc[rare["well"] == "w7", "split"] = "test"
    rare.loc[0, "label"] = "rare"
    found = Examples(rare, examples.root, "colonies.csv")
    with pytest.raises(DataError, match=r"colonies\.csv: too few labelled images: rare has 1"):
        train_model(found, tmp_path / "model", "features", QUICK)


def test_a_label_that_the_model_does_not_know_is_named(examples: Examples, tmp_path: Path) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    table = examples.table.assign(label="strange")
    with pytest.raises(DataError, match="labels strange"):
        evaluate(model, Examples(table, examples.root, "other"))


def test_frames_of_a_colony_are_averaged_over_time(examples: Examples, tmp_path: Path) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    # all images of a well as one colony: its frames all get the same probabilities
    followed = Examples(examples.table.assign(track="1"), examples.root, "followed")
    table = prediction_table(model, followed, over_time=True)
    assert table.groupby("well")["p_fine"].nunique().max() == 1
    with pytest.raises(DataError, match="track"):
        prediction_table(model, examples, over_time=True)


def test_an_image_without_a_track_is_not_averaged(examples: Examples, tmp_path: Path) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    once = prediction_table(model, examples)["p_fine"]
    # the first six images of each well are one colony, the others were not followed
    for nothing in ("", np.nan, "0"):
        track = np.where(np.arange(len(examples)) % 12 < 6, "1", "").astype(object)
        track[track == ""] = nothing
        followed = Examples(examples.table.assign(track=track), examples.root, "followed")
        table = prediction_table(model, followed, over_time=True)
        alone = (track != "1").nonzero()[0]
        assert table["p_fine"].iloc[alone].tolist() == pytest.approx(once.iloc[alone].tolist())
        assert table[track == "1"].groupby("well")["p_fine"].nunique().max() == 1


def test_a_level_that_cannot_be_is_refused_before_images_are_read(
    examples: Examples, tmp_path: Path
) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    shutil.rmtree(tmp_path / "model")
    nowhere = Examples(examples.table, tmp_path, "nowhere")  # reading an image would fail
    with pytest.raises(InputError, match="level 90"):
        prediction_table(model, nowhere, level=90)


def test_fractions_are_written_per_well_and_compared_between_conditions(
    examples: Examples, tmp_path: Path
) -> None:
    # the true classes as predictions: a third is coarse in every well, treated or not
    table = examples.table.assign(**{"class": examples.table["label"]})
    words = write_fractions(table, tmp_path, condition="treatment", control="control")
    assert any("coarse, treated less control: +0.000" in line for line in words)
    effects = pd.read_csv(tmp_path / "effects.csv")
    assert effects["p_holm"].min() > 0.05
    assert (tmp_path / "fractions.png").is_file()


def test_wells_without_a_condition_are_named(examples: Examples, tmp_path: Path) -> None:
    wells = tmp_path / "wells.csv"
    wells.write_text("well,treatment\nw0,control\n", encoding="utf-8")
    with pytest.raises(DataError, match="7 wells, the first is w1; it names w0; add"):
        with_conditions(examples.table, wells)


# the part that is tested -----------------------------------------------------------------------


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A folder per class, forty textures in each."""
    rng = np.random.default_rng(1)
    for class_ in GRAINS:
        (tmp_path / "data" / class_).mkdir(parents=True)
        for i in range(40):
            write_png(texture(class_, rng), tmp_path / "data" / class_ / f"m{i:02}.png")
    return tmp_path / "data"


def test_images_without_a_group_are_dealt_out_with_a_note_and_never_those_of_one_well(
    classes: Path, tmp_path: Path
) -> None:
    note, arms = "no image has a group: ", parse_arms(["features"])
    for by in ("group", "image"):
        model = train_model(load_examples(classes), tmp_path / by, "features", QUICK, by=by)
        plan = Plan(2, (0.2,), by=by, common=QUICK, only=1)
        compared = compare(load_examples(classes), arms, tmp_path / f"compared-{by}", plan)
        for notes in (model.about["notes"], compared.notes):
            assert any(said.startswith(note) for said in notes) == (by == "group")
    for file in list(classes.glob("*/*.png")):
        file.rename(file.with_name(f"well00_frame0{file.stem[1:]}_colony001.png"))
    out = tmp_path / "none"
    with pytest.raises(DataError, match="40 images are of one well or movie"):
        train_model(load_examples(classes), out, "features", QUICK)
    with pytest.raises(DataError, match="40 images are of one well or movie"):
        compare(load_examples(classes), arms, out, Plan(2, (0.2,), common=QUICK))
    assert not out.exists()


@pytest.mark.parametrize("by", ["group", "image"])
def test_images_that_are_added_later_do_not_move_the_test_part(
    by: str, classes: Path, tmp_path: Path
) -> None:
    model = train_model(load_examples(classes), tmp_path / "model", "features", QUICK, by=by)
    tested = held_out(model, load_examples(classes), "test").table["image"].tolist()
    assert len(tested) == 8  # a tenth
    for i in range(5):
        write_png(texture("coarse", np.random.default_rng(i)), classes / "coarse" / f"a{i}.png")
    (tmp_path / "moved").mkdir()
    moved = classes.rename(tmp_path / "moved" / "data")
    kept = held_out(model, load_examples(moved), "test")
    assert kept.table["image"].tolist() == tested
    assert kept.notes[-1].startswith("scored on the 8 images that training set aside")
    (moved / tested[0]).unlink()
    fewer = held_out(model, load_examples(moved), "test")
    assert fewer.table["image"].tolist() == tested[1:]
    assert fewer.notes[-1].startswith("scored on the 7 (of 8) images")


def test_other_data_of_the_same_names_is_scored_whole(
    examples: Examples, manifest: Path, tmp_path: Path
) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    shutil.copytree(manifest.parent, tmp_path / "next")
    for i, file in enumerate(sorted((tmp_path / "next").glob("*.png"))):
        write_png(texture("fine", np.random.default_rng(1000 + i)), file)
    other = load_examples(tmp_path / "next" / "manifest.csv")
    kept = held_out(model, other, "test")
    assert len(kept) == len(other)
    assert kept.notes[-1].startswith("has the name of the data of training, but not the images")


def test_renamed_groups_of_the_training_data_are_refused(
    examples: Examples, tmp_path: Path
) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    renamed = Examples(
        examples.table.assign(group="new " + examples.table["group"]), examples.root, examples.name
    )
    with pytest.raises(DataError, match="none of the groups that it set aside"):
        held_out(model, renamed, "test")


def test_every_image_of_the_training_data_is_scored_with_a_warning(
    examples: Examples, tmp_path: Path
) -> None:
    model = train_model(examples, tmp_path / "model", "features", QUICK)
    every = held_out(model, examples, "all")
    assert len(every) == len(examples)
    assert every.notes[-1].endswith("if they are the same, these scores flatter")


@pytest.mark.parametrize(("by", "name"), [("image", "13"), ("group", "image 13")])
def test_a_model_that_knows_rows_alone_is_not_scored_on_them(
    by: str, name: str, classes: Path, tmp_path: Path
) -> None:
    examples = load_examples(classes)
    model = train_model(examples, tmp_path / "model", "features", QUICK, by=by)
    model.about |= {"test_groups": [name], "taught_groups": [name]}
    del model.about["sample"]
    with pytest.raises(ModelError, match=r"by their rows alone, .* train it again"):
        held_out(model, examples, "test")
    assert held_out(model, examples, "all").notes[-1].endswith("these scores flatter")


def test_an_image_is_called_by_its_file_wherever_that_lies(tmp_path: Path) -> None:
    here = str(tmp_path / "w1" / "a.tif")
    table = pd.DataFrame({"image": [here, "w1\\b.tif; ../c.tif", "./s.npy"]})
    table = table.assign(region=["", "0:4,0:4", ""], index=["", "", "3"])
    found = Examples(table, tmp_path, "t.csv").names().tolist()
    assert found == ["w1/a.tif", "w1/b.tif;../c.tif 0:4,0:4", "s.npy 3"]
