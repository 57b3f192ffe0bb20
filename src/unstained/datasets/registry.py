"""The registry: for each data set its files with size, hash and address; licence and citation."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ..errors import InputError

__all__ = ["DataFile", "DataSet", "info", "names"]


@dataclass(frozen=True)
class DataFile:
    """One file of a data set: path inside the set (``/`` between folders), bytes, address."""

    path: str
    n_bytes: int
    sha256: str
    url: str


@dataclass(frozen=True)
class DataSet:
    """A data set of the registry.

    Attributes
    ----------
    name, title, licence, cite : str
        `cite` is what to cite when the images appear in a publication.
    files : tuple of DataFile
        In the order of the registry.
    """

    name: str
    title: str
    licence: str
    cite: str
    files: tuple[DataFile, ...]

    @property
    def n_bytes(self) -> int:
        """Size of all files, unpacked."""
        return sum(file.n_bytes for file in self.files)


_FACTS = {
    "isl": (
        "human iPSC-derived neurons: phase contrast in 13 planes, DAPI, MAP2, NFH; one field",
        "Apache-2.0",
        "Christiansen et al., Cell 173:792 (2018), doi 10.1016/j.cell.2018.03.040",
    ),
    "mlcp": (
        "Jurkat cells by imaging flow cytometry: brightfield, darkfield, DNA stain; cell cycle",
        "BSD-3-Clause",
        "Blasi et al., Nat. Commun. 7:10256 (2016), doi 10.1038/ncomms10256; "
        "Hennig et al., Methods 112:201 (2017), doi 10.1016/j.ymeth.2016.08.018",
    ),
    "usiigaci": (
        "T98G and NIH/3T3 cells, phase contrast: every cell outlined in 14 frames; a movie",
        "MIT",
        "Tsai et al., SoftwareX 9:230 (2019), doi 10.1016/j.softx.2019.02.007",
    ),
}


def names() -> tuple[str, ...]:
    """Names of all data sets."""
    return tuple(_FACTS)


def info(name: str) -> DataSet:
    """What is known of one data set.

    Raises
    ------
    InputError
        There is no data set of that name.
    """
    if name not in _FACTS:
        raise InputError(f"no data set {name!r}", f"there are {', '.join(_FACTS)}")
    title, licence, cite = _FACTS[name]
    return DataSet(name, title, licence, cite, _files()[name])


@cache
def _files() -> dict[str, tuple[DataFile, ...]]:
    found: dict[str, list[DataFile]] = {name: [] for name in _FACTS}
    table = files(__package__).joinpath("registry.tsv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines(), delimiter="\t"):
        file = DataFile(row["path"], int(row["bytes"]), row["sha256"], row["url"])
        found[row["dataset"]].append(file)
    return {name: tuple(rows) for name, rows in found.items()}
