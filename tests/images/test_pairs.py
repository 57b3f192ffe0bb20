"""Pairs are matched by name, nothing is dropped, and every fault names its file or row."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from unstained.errors import DataError, FileError, InputError
from unstained.images import (
    Pairs,
    Region,
    label_free_fields,
    load_pairs,
    pairs_from_channels,
    pairs_from_folders,
    pairs_from_manifest,
    write_manifest,
)
from unstained.images.folders import images_in
from unstained.images.image import as_image
from unstained.images.ome_zarr_writer import write_ome_zarr
from unstained.images.read import name_of_source, split_joined
from unstained.images.write import write_ome_tiff

HEAD = "phase,stain,marker,group\n"


def image(path: Path, value: int = 0, shape: tuple[int, int] = (8, 12)) -> Path:
    """A 16-bit ramp that starts at `value`, so that files can be told apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (value + np.arange(shape[0] * shape[1])).reshape(shape).astype(np.uint16)
    cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two fields with phase and DAPI."""
    for i, name in enumerate(["a", "b"]):
        image(tmp_path / "phase" / f"{name}.png", 100 * i)
        image(tmp_path / "DAPI" / f"{name}.png", 1000 + 100 * i)
    return tmp_path


def manifest(folder: Path, text: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    return path


# --- manifest


def test_a_manifest_s_paths_are_relative_to_it_and_pixels_are_the_file_s(folder: Path) -> None:
    pairs = pairs_from_manifest(manifest(folder, HEAD + "phase/b.png,DAPI/b.png,DAPI,donor 1\n"))
    (field,) = pairs.fields()
    assert (field.group, field.split, field.id) == ("donor 1", "", "phase/b")
    assert field.read_phase().dtype == np.uint16
    assert field.read_phase().shape == (1, 8, 12)
    assert field.read_phase()[0, 0, 0] == 100  # b starts at 100
    assert field.read_stain("DAPI")[0, 1] == 1101


def test_markers_of_one_field_are_joined_and_planes_stacked_in_the_given_order(
    folder: Path,
) -> None:
    image(folder / "CD90" / "a.png", 5000)
    path = manifest(
        folder,
        HEAD
        + "phase/b.png;phase/a.png,DAPI/a.png,DAPI,1\n"
        + "phase/b.png;phase/a.png,CD90/a.png,CD90,1\n",
    )
    (field,) = pairs_from_manifest(path).fields()
    assert list(field.stains) == ["DAPI", "CD90"]
    assert field.read_phase()[:, 0, 0].tolist() == [100, 0]  # b, then a
    assert field.read_stain("CD90")[0, 0] == 5000


def test_a_region_is_cut_out_of_phase_and_stain_alike(folder: Path) -> None:
    text = 'phase,stain,marker,group,region\nphase/a.png,DAPI/a.png,DAPI,1,"2:5, 4:12"\n'
    pairs = pairs_from_manifest(manifest(folder, text))
    (field,) = pairs.fields()
    assert field.region == Region(2, 5, 4, 12)
    assert field.shape == (3, 8)
    # row 2, column 4 of a ramp of 12 columns: 2 * 12 + 4 = 28
    assert field.read_phase()[0, 0, 0] == 28
    assert field.read_stain("DAPI")[0, 0] == 1028


def test_a_predicted_stain_is_not_read_as_a_measured_one(folder: Path) -> None:
    stain = as_image(np.ones((8, 12), np.uint16), "YX", channels=["DAPI"])
    for name, about in (("made", {"predicted_by": ["1a2b"]}), ("own", {})):
        write_ome_zarr(replace(stain, about=about), folder / f"{name}.ome.zarr")
        path = manifest(folder, HEAD + f"phase/a.png,{name}.ome.zarr#DAPI,DAPI,1\n")
        (field,) = pairs_from_manifest(path).fields()
        if about:
            with pytest.raises(DataError, match=r"made\.ome\.zarr.*: was predicted by a model"):
                field.read_stain("DAPI")
        else:
            assert field.read_stain("DAPI").all()


def test_a_blank_line_and_empty_cells_beyond_the_header_are_of_no_meaning(folder: Path) -> None:
    path = manifest(folder, "  \n" + HEAD + "phase/a.png,DAPI/a.png,DAPI,1,,\n\n")
    assert len(pairs_from_manifest(path)) == 1


def test_a_semicolon_table_with_a_byte_order_mark_as_excel_writes_it_is_read(folder: Path) -> None:
    path = folder / "excel.csv"
    path.write_text(
        'phase;stain;marker;group\n"phase/a.png;phase/b.png";DAPI/a.png;DAPI;1\n',
        encoding="utf-8-sig",
    )
    (field,) = pairs_from_manifest(path).fields()
    assert field.read_phase().shape[0] == 2


def test_a_semicolon_in_the_name_of_a_file_is_no_second_plane(folder: Path) -> None:
    image(folder / "phase" / "a;1.png")
    rows = "phase/a;1.png,DAPI/a.png,DAPI,1\nphase/b.png,DAPI/b.png,DAPI,2\n"
    fields = pairs_from_manifest(manifest(folder, HEAD + rows)).fields()
    assert [field.read_phase().shape for field in fields] == [(1, 8, 12)] * 2


def test_paths_out_of_a_linked_folder_start_where_it_really_is(folder: Path) -> None:
    # real/in/pairs.csv names ../p.png, which is real/p.png, by whatever link one comes
    (folder / "real" / "in").mkdir(parents=True)
    image(folder / "real" / "p.png", 7)
    image(folder / "real" / "in" / "s.png")
    manifest(folder / "real" / "in", HEAD + "../p.png,s.png,DAPI,1\n")
    try:
        (folder / "link").symlink_to(folder / "real" / "in", target_is_directory=True)
    except OSError:
        pytest.skip("no links on this system")
    (field,) = pairs_from_manifest(folder / "link" / "pairs.csv").fields()
    assert field.read_phase()[0, 0, 0] == 7
    (alone,) = label_free_fields([folder / "link" / ".." / "p.png"])
    assert alone.phase == str(folder / "real" / "p.png")


def test_other_columns_and_the_pixel_size_are_kept(folder: Path) -> None:
    text = "phase,stain,marker,group,pixel_size_um,drug\nphase/a.png,DAPI/a.png,DAPI,1,0.65,none\n"
    (field,) = pairs_from_manifest(manifest(folder, text)).fields()
    assert field.pixel_size_um == 0.65
    assert field.row["drug"] == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("phase,stain,marker\na,b,c\n", "column group is missing among phase, stain, marker"),
        (HEAD, "has no rows"),
        (HEAD + "phase/a.png,DAPI/a.png,,1\n", "row 1 has no marker; fill"),
        (HEAD + "phase/a.png,DAPI/a.png,DAPI,1\nphase/b.png,,DAPI,1\n", "row 2 has no stain"),
        (
            HEAD + "phase/a.png,DAPI/a.png,DAPI,1\nphase/a.png,DAPI/b.png,DAPI,1\n",
            "row 2 repeats a field for marker 'DAPI'",
        ),
        (
            "phase,stain,marker,group,split\nphase/a.png,DAPI/a.png,DAPI,1,trian\n",
            "row 1 has split 'trian'; use train, validation, test, omit",
        ),
        (
            "phase,stain,marker,group,region\nphase/a.png,DAPI/a.png,DAPI,1,4-9\n",
            "row 1: region '4-9' is not understood",
        ),
        (
            "phase,stain,marker,group,pixel_size_um\nphase/a.png,DAPI/a.png,DAPI,1,0.65um\n",
            "row 1 has pixel_size_um '0.65um'",
        ),
        (
            "phase,stain,marker,group,pixel_size_um\nphase/a.png,DAPI/a.png,DAPI,1,650\n",
            "row 1 has pixel_size_um '650'; micrometers per pixel",
        ),
        (
            HEAD + "phase/a.png,DAPI/a.png,DAPI,Smith, J\n",
            "row 1 has 5 cells, and the header 4; put quotes around a cell that holds ','",
        ),
        (
            "phase,stain,marker,group,weight\nphase/a.png,DAPI/a.png,DAPI,1,-1\n",
            "row 1 has weight '-1'",
        ),
        (
            HEAD + "phase/a.png;phase/b.png,DAPI/a.png,DAPI,1\nphase/b.png,DAPI/b.png,DAPI,1\n"
            "phase/a.png,DAPI/b.png,DAPI,1\n",
            "row 1 has 2 phase files, most rows 1",
        ),
    ],
)
def test_a_fault_in_a_manifest_names_file_row_and_remedy(
    folder: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        pairs_from_manifest(manifest(folder, text))
    assert message in str(caught.value)
    assert "pairs.csv" in str(caught.value)
    assert caught.value.remedy


def test_all_missing_files_are_listed_with_their_rows(folder: Path) -> None:
    text = HEAD + "phase/a.png,DAPI/x.png,DAPI,1\nphase/y.png;phase/a.png,DAPI/b.png,DAPI,1\n"
    text = text.replace("phase/a.png,DAPI/x", "phase/a.png;phase/b.png,DAPI/x")
    with pytest.raises(FileError, match=r"2 files are not there: row 1: .*x\.png, row 2: .*y\.png"):
        pairs_from_manifest(manifest(folder, text))


def test_a_written_manifest_gives_the_same_pairs_and_fingerprint(folder: Path) -> None:
    text = (
        "phase,stain,marker,group,split,region,donor\n"
        'phase/a.png,DAPI/a.png,DAPI,1,train,"0:8,0:6",D7\n'
        "phase/b.png,DAPI/b.png,DAPI,2,test,,D8\n"
    )
    pairs = pairs_from_manifest(manifest(folder, text))
    write_manifest(pairs, folder / "again.csv")
    again = pairs_from_manifest(folder / "again.csv")
    pd.testing.assert_frame_equal(again.table, pairs.table)
    assert again.fingerprint() == pairs.fingerprint()
    assert str(folder) not in (folder / "again.csv").read_text()


# --- pixels


def test_a_stain_of_another_shape_is_refused_by_name(folder: Path) -> None:
    image(folder / "DAPI" / "a.png", shape=(8, 13))
    (field,) = pairs_from_manifest(
        manifest(folder, HEAD + "phase/a.png,DAPI/a.png,DAPI,1\n")
    ).fields()
    with pytest.raises(DataError, match=r"a\.png: is 8 x 13 px, but a\.png is 8 x 12 px"):
        field.read_stain("DAPI")


def test_nan_is_refused_by_name_and_count(folder: Path) -> None:
    pixels = np.ones((8, 12), np.float32)
    pixels[0, :3] = np.nan
    np.save(folder / "nan.npy", pixels)
    (field,) = pairs_from_manifest(manifest(folder, HEAD + "phase/a.png,nan.npy,DAPI,1\n")).fields()
    with pytest.raises(DataError, match=r"nan\.npy: 3 of 96 pixels are NaN or infinite"):
        field.read_stain("DAPI")


def test_a_region_outside_the_image_is_refused(folder: Path) -> None:
    text = 'phase,stain,marker,group,region\nphase/a.png,DAPI/a.png,DAPI,1,"0:8,0:13"\n'
    (field,) = pairs_from_manifest(manifest(folder, text)).fields()
    with pytest.raises(DataError, match="region 0:8,0:13 reaches outside the image of 8 x 12 px"):
        field.read_phase()


def test_a_stain_of_two_planes_is_refused(folder: Path) -> None:
    np.save(folder / "two.npy", np.zeros((2, 8, 12), np.uint16))
    (field,) = pairs_from_manifest(manifest(folder, HEAD + "phase/a.png,two.npy,DAPI,1\n")).fields()
    with pytest.raises(DataError, match="a stain is one plane, this has 2"):
        field.read_stain("DAPI")


def test_a_file_that_is_written_anew_is_read_anew(folder: Path) -> None:
    (field,) = pairs_from_manifest(
        manifest(folder, HEAD + "phase/a.png,DAPI/a.png,DAPI,1\n")
    ).fields()
    assert field.read_phase()[0, 0, 0] == 0
    field.read_phase()[:] = 9  # what a caller does to its pixels stays with it
    assert field.read_phase()[0, 0, 0] == 0
    image(folder / "phase" / "a.png", 300, shape=(8, 12))
    assert field.read_phase()[0, 0, 0] == 300


# --- folders


def test_files_are_matched_by_name_and_not_by_order(tmp_path: Path) -> None:
    for name, value in [("f1", 1), ("f2", 2), ("f10", 10)]:
        image(tmp_path / "bf" / f"{name}.png", value)
    # another suffix sorts otherwise; the name decides
    for name, value in [("f10", 110), ("f2", 102), ("f1", 101)]:
        np.save(tmp_path / f"{name}.npy", np.full((8, 12), value, np.uint16))
    stains = tmp_path / "cd105"
    stains.mkdir()
    for file in tmp_path.glob("*.npy"):
        file.rename(stains / file.name)
    fields = pairs_from_folders(tmp_path / "bf", stains, "CD105").fields()
    assert len(fields) == 3
    for field in fields:
        assert field.read_stain("CD105")[0, 0] == 100 + field.read_phase()[0, 0, 0]


@pytest.mark.parametrize("suffix", [".lsm", ".stk", ".tf2", ".TIF"])
def test_every_kind_of_file_that_is_read_is_found_in_a_folder(tmp_path: Path, suffix: str) -> None:
    for part in ("bf", "cd105"):
        (tmp_path / part).mkdir()
        (tmp_path / part / f"a{suffix}").write_bytes(b"")
    table = pairs_from_folders(tmp_path / "bf", tmp_path / "cd105", "CD105").table
    assert [Path(path).name for path in table["stain"]] == [f"a{suffix}"]


def test_folders_on_two_drives_have_no_folder_in_common(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_two_drives(paths: Sequence[Path]) -> str:
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr(os.path, "commonpath", on_two_drives)
    pairs = pairs_from_folders(folder / "phase", folder / "DAPI", "DAPI")
    assert pairs.root is None
    assert [field.id for field in pairs.fields()] == [p.stem for p in images_in(folder / "phase")]


def test_unmatched_files_of_both_folders_are_all_named(folder: Path) -> None:
    image(folder / "phase" / "only_phase.png")
    image(folder / "DAPI" / "only_dapi.png")
    with pytest.raises(DataError) as caught:
        pairs_from_folders(folder / "phase", folder / "DAPI", "DAPI")
    assert "1 image in phase without a stain: only_phase.png" in str(caught.value)
    assert "1 image in DAPI without a phase image: only_dapi.png" in str(caught.value)


def test_a_pattern_matches_by_its_groups_gives_wells_and_orders_planes(tmp_path: Path) -> None:
    for well in ("A1", "B2"):
        for z in (1, 2, 10):
            image(tmp_path / f"{well}_s1_z{z}_ph.png", z)
        image(tmp_path / f"{well}_s1_dapi.png", 500)
    pattern = (r"(?P<well>\w\d)_(s\d)_z(?P<plane>\d+)_ph\.png", r"(?P<well>\w\d)_(s\d)_dapi\.png")
    pairs = pairs_from_folders(tmp_path, tmp_path, "DAPI", pattern=pattern)
    assert pairs.table["group"].tolist() == ["A1", "B2"]
    assert pairs.table["well"].tolist() == ["A1", "B2"]
    assert pairs.notes == ()
    assert pairs.fields()[0].read_phase()[:, 0, 0].tolist() == [1, 2, 10]


def test_files_that_do_not_fit_the_pattern_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"1 image that the pattern does not fit: b\.png"):
        pairs_from_folders(
            folder / "phase", folder / "DAPI", "DAPI", pattern=(r"(a)\.png", r"([ab])\.png")
        )


def test_two_stains_of_one_name_are_refused(folder: Path) -> None:
    np.save(folder / "DAPI" / "a.npy", np.zeros((8, 12)))
    with pytest.raises(DataError, match=r"2 images of a name that another has: a\.npy, a\.png"):
        pairs_from_folders(folder / "phase", folder / "DAPI", "DAPI")


def test_a_pattern_without_a_group_or_with_a_mistake_is_refused(folder: Path) -> None:
    for pattern in (".*png", "(a"):
        with pytest.raises(InputError, match="pattern"):
            pairs_from_folders(folder / "phase", folder / "DAPI", "DAPI", pattern=pattern)


def test_groups_that_nobody_named_are_noted(folder: Path) -> None:
    pairs = pairs_from_folders(folder / "phase", folder / "DAPI", "DAPI")
    assert pairs.groups == ("a", "b")
    assert "no groups are known" in pairs.notes[0]


# --- channels, specs


@pytest.fixture
def multichannel(tmp_path: Path) -> Path:
    from unstained.images import as_image
    from unstained.images.write import write_ome_tiff

    pixels = np.stack([np.full((64, 64), v, np.uint16) for v in (7, 70, 71)])
    names = ["Phase 1", "DAPI", "CD90"]
    return write_ome_tiff(
        as_image(pixels, "CYX", channels=names, pixel_size_um=0.5), tmp_path / "f.ome.tif"
    )


def test_the_channels_of_one_file_become_phase_and_stains(multichannel: Path) -> None:
    pairs = load_pairs(str(multichannel))
    assert pairs.markers == ("DAPI", "CD90")
    (field,) = pairs.fields()
    assert field.read_phase()[0, 0, 0] == 7
    assert field.read_stain("CD90")[0, 0] == 71
    assert field.pixel_size_um == 0.5
    assert pairs.notes == ("by their names, Phase 1 is the input, and markers are DAPI, CD90",)


def channels(path: Path, *names: str) -> Path:
    """An image of which channel i is i everywhere."""
    from unstained.images import as_image
    from unstained.images.write import write_ome_tiff

    pixels = np.stack([np.full((64, 64), i, np.uint16) for i in range(len(names))])
    return write_ome_tiff(as_image(pixels, "CYX", channels=list(names)), path)


def test_channels_of_one_file_are_joined_as_planes_and_none_is_lost(tmp_path: Path) -> None:
    file = channels(tmp_path / "f.ome.tif", "Brightfield", "Darkfield", "DNA")
    of_channels = load_pairs(str(file))
    table = manifest(
        tmp_path, HEAD + f"{file.name}#Brightfield;{file.name}#Darkfield,{file.name}#DNA,DNA,1\n"
    )
    for pairs in (of_channels, load_pairs(str(table))):
        (field,) = pairs.fields()
        assert field.read_phase()[:, 0, 0].tolist() == [0, 1]
    absent = manifest(tmp_path, HEAD + f"{file.name}#Brightfield;no.tif#A,{file.name}#DNA,DNA,1\n")
    with pytest.raises(FileError, match=r"row 1: .*no\.tif#A"):
        load_pairs(str(absent))


def test_letters_that_join_paths_and_channels_may_stand_in_a_name(tmp_path: Path) -> None:
    file = channels(tmp_path / "a;b #2.ome.tif", "Phase;old", "CD#44")
    pairs = load_pairs(str(file))
    assert pairs.markers == ("CD#44",)
    (field,) = pairs.fields()
    assert field.read_phase()[:, 0, 0].tolist() == [0]
    assert field.read_stain("CD#44")[0, 0] == 1
    assert name_of_source(str(file)) == "a_b__2"
    # however the folder is written
    (tmp_path / "in").mkdir()
    assert split_joined(f"{tmp_path}/in/../././{file.name}#1") == [
        f"{tmp_path}/in/../././{file.name}#1"
    ]


@pytest.mark.parametrize(
    ("names", "inputs"),
    [
        (("Phase", "pH3", "DAPI"), "Phase"),
        (("TL", "Transferrin", "pH2AX"), "TL"),
        (("PH2", "DAPI"), "PH2"),
        (("ph1", "pH3"), "ph1"),
        (("Ph3", "pH3"), "Ph3"),
        (("10xPhase", "DAPI"), "10xPhase"),
        (("TransLight", "DAPI"), "TransLight"),
        (("Trans1", "DAPI"), "Trans1"),
        (("img_BF", "GFP"), "img_BF"),
        (("TL Brightfield", "GFP"), "TL Brightfield"),
        (("Transmitted light", "Prophase marker"), "Transmitted light"),
        (("BF 10x", "Trans-Golgi", "E-cad trans", "pH Rodo Red", "TL-Ab", "DF-508"), "BF 10x"),
    ],
)
def test_label_free_channels_are_told_by_whole_words(
    tmp_path: Path, names: tuple[str, ...], inputs: str
) -> None:
    pairs = load_pairs(str(channels(tmp_path / "f.ome.tif", *names)))
    assert pairs.markers == tuple(name for name in names if name != inputs)


def test_two_channels_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 channels are called GFP"):
        load_pairs(str(channels(tmp_path / "f.ome.tif", "Phase", "GFP", "GFP")))


def test_channels_that_are_not_there_or_not_clear_are_refused(multichannel: Path) -> None:
    with pytest.raises(DataError, match="no channel CD73 among Phase 1, DAPI, CD90"):
        pairs_from_channels(multichannel, phase=["Phase 1"], stains=["CD73"])
    with pytest.raises(DataError, match="not clear"):
        pairs_from_channels(multichannel, phase=["DAPI"], stains=["DAPI"])


def test_a_spec_may_be_a_manifest_two_folders_or_a_tree(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = manifest(folder, HEAD + "phase/a.png,DAPI/a.png,DAPI,1\n")
    assert len(load_pairs(str(table))) == 1
    assert load_pairs(f"{folder / 'phase'}:{folder / 'DAPI'}").markers == ("DAPI",)
    image(folder / "CD90" / "b.png")
    tree = load_pairs(str(folder))
    stains = {field.id: sorted(field.stains) for field in tree.fields()}
    assert stains == {"phase/a": ["DAPI"], "phase/b": ["CD90", "DAPI"]}
    monkeypatch.chdir(folder.parent)
    assert load_pairs(folder.name).fingerprint() == tree.fingerprint()


def test_a_cleaned_stain_in_a_tree_belongs_to_its_phase_image(folder: Path) -> None:
    for name in ("a", "b"):
        write_ome_tiff(as_image(np.zeros((8, 12)), "YX"), folder / "CD90" / f"{name}.ome.tif")
    stains = {field.id: sorted(field.stains) for field in load_pairs(str(folder)).fields()}
    assert stains == {"phase/a": ["CD90", "DAPI"], "phase/b": ["CD90", "DAPI"]}


def test_a_folder_without_phase_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "phase.png").touch()
    (tmp_path / "dapi.png").touch()
    with pytest.raises(DataError, match=r"there are no folders, images dapi\.png, phase\.png;"):
        load_pairs(str(tmp_path))
    (tmp_path / "DNA").mkdir()
    with pytest.raises(DataError, match=r"there are folders DNA, images dapi\.png"):
        load_pairs(str(tmp_path))


def test_a_tree_with_a_phase_image_that_no_stain_goes_with_is_refused(folder: Path) -> None:
    image(folder / "phase" / "c.png")
    with pytest.raises(DataError, match=r"1 phase image without a stain: .*c\.png"):
        load_pairs(str(folder))


def test_a_spec_that_is_nothing_says_what_it_could_be() -> None:
    with pytest.raises(FileError, match=r"neither a file, a folder.*data sets: isl"):
        load_pairs("no/such/thing")


# --- the table


def table(**columns: list[str]) -> pd.DataFrame:
    rows = {"phase": ["/p/a.tif", "/p/b.tif"], "stain": ["/s/a.tif", "/s/b.tif"]}
    return pd.DataFrame({**rows, "marker": ["A", "B"], "group": ["1", "2"], **columns})


def test_a_marker_without_pairs_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match="no pairs for CD73; the markers of this set are A, B"):
        Pairs(table()).of_markers(["A", "CD73"])


def test_markers_and_splits_are_picked() -> None:
    pairs = Pairs(table(split=["train", "test"]))
    assert pairs.of_markers(["B", "A"]).markers == ("B", "A")
    assert pairs.of_split("test").markers == ("B",)
    assert len(pairs.of_split("validation")) == 0
    with pytest.raises(InputError, match="no split 'all'"):
        pairs.of_split("all")


def test_markers_of_one_field_in_two_splits_are_refused() -> None:
    with pytest.raises(DataError, match="differ in split: test, train"):
        Pairs(table(phase=["/p/a.tif"] * 2, group=["1", "1"], split=["train", "test"])).fields()


def test_fields_of_one_file_name_in_two_folders_have_two_names() -> None:
    phase = ["/r/p1/a.tif", "/r/p2/a.tif"]
    ids = [f.id for f in Pairs(table(phase=phase), root=Path("/r").absolute()).fields()]
    assert len(set(ids)) == 2


def test_the_fingerprint_ignores_order_and_place_but_not_contents(tmp_path: Path) -> None:
    prints = []
    for name in ("here", "there"):
        home = tmp_path / name
        for i in (0, 1):
            image(home / "p" / f"{i}.png", i)
            image(home / "s" / f"{i}.png", i)
        rows = [f"p/{i}.png,s/{i}.png,A,{i}\n" for i in (0, 1)]
        rows = rows[::-1] if name == "there" else rows
        prints.append(pairs_from_manifest(manifest(home, HEAD + "".join(rows))).fingerprint())
    assert prints[0] == prints[1]
    image(tmp_path / "there" / "s" / "1.png", shape=(9, 12))
    assert pairs_from_manifest(tmp_path / "there" / "pairs.csv").fingerprint() != prints[0]


def test_a_look_into_an_image_s_folder_changes_no_fingerprint(tmp_path: Path) -> None:
    image(tmp_path / "s.png")
    write_ome_zarr(as_image(np.zeros((8, 12), np.uint16), "YX"), tmp_path / "p.ome.zarr")
    pairs = pairs_from_manifest(manifest(tmp_path, HEAD + "p.ome.zarr,s.png,A,1\n"))
    before = pairs.fingerprint()
    (tmp_path / "p.ome.zarr" / "0" / ".DS_Store").write_bytes(b"Finder")
    assert pairs.fingerprint() == before
    (tmp_path / "p.ome.zarr" / "0" / "more").write_bytes(b"pixels")
    assert pairs.fingerprint() != before


def test_regions_know_their_distance() -> None:
    left, right = Region(0, 10, 0, 10), Region(0, 10, 14, 20)
    assert left.distance(right) == 4
    assert left.distance(Region(5, 15, 5, 15)) == -5


def test_a_weight_is_kept_by_the_manifest_and_tells_pairs_apart(folder: Path) -> None:
    text = "phase,stain,marker,group,weight\nphase/a.png,DAPI/a.png,DAPI,1,0.5\n"
    text += "phase/b.png,DAPI/b.png,DAPI,2,\n"
    pairs = pairs_from_manifest(manifest(folder, text))
    assert [field.weight for field in pairs.fields()] == [0.5, 1.0]  # not given counts as 1
    write_manifest(pairs, folder / "again.csv")
    again = pairs_from_manifest(folder / "again.csv")
    assert again.fingerprint() == pairs.fingerprint()
    other = pairs_from_manifest(manifest(folder, text.replace("0.5", "0.7")))
    assert other.fingerprint() != pairs.fingerprint()


def test_a_corrected_level_is_another_fingerprint_and_no_level_the_one_from_before(
    folder: Path,
) -> None:
    text = HEAD.strip() + ",level\nphase/a.png,DAPI/a.png,DAPI,1,{}\n"
    prints = [
        pairs_from_manifest(manifest(folder, text.format(level))).fingerprint()
        for level in ("200", "100", "")
    ]
    assert len(set(prints)) == 3
    # one line: marker, group, split, region, cell, then each file with its bytes
    phase, stain = ((folder / d / "a.png").stat().st_size for d in ("phase", "DAPI"))
    line = f"DAPI\t1\t\t\t\tphase/a.png={phase}\tDAPI/a.png={stain}"
    assert prints[2] == hashlib.sha256(line.encode()).hexdigest()


def test_pairs_say_in_one_line_what_they_hold(folder: Path) -> None:
    table = pd.DataFrame({"phase": ["a", "a", "b"], "stain": ["c", "d", "e"]})
    table = table.assign(marker=["DAPI", "TuJ1", "DAPI"], group=["w1", "w1", "w2"])
    pairs = Pairs(table, name="mine")
    assert repr(pairs) == "<Pairs mine: 3 pairs of DAPI, TuJ1; 2 groups>"
    dealt = pairs.with_split(["test", "test", "train"])
    assert repr(dealt) == "<Pairs mine: 3 pairs of DAPI, TuJ1; 2 groups; 1 train, 2 test>"
    assert repr(pairs.of_split("train")) == "<Pairs mine: 0 pairs of no marker; 0 groups>"
