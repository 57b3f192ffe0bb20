"""Images of colonies as a command names them, with the stains that a model predicts for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, ModelError

if TYPE_CHECKING:
    from ..colonies.classifier import ColonyClassifier
    from ..colonies.examples import Examples

__all__ = ["OwnPlanes", "Stain", "classified_images", "images_with_stains"]

Stain = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        help="Model of `unstained staining train`, whose predicted stains become further planes.",
    ),
]
OwnPlanes = Annotated[
    str | None,
    typer.Option(
        "--planes",
        help="With --stain: the images' own planes that the classifier sees beside them, from 1 "
        "(1,2), or none [default: all].",
    ),
]


def images_with_stains(data: str, stain: Path | None, planes: str | None) -> Examples:
    """Images to learn from; all planes of theirs go to the stain's model.

    Raises
    ------
    InputError
        Planes without a stain.
    """
    from ..colonies.examples import load_examples

    if stain is None:
        if planes is not None:
            raise InputError(
                f"--planes {planes!r} without a stain",
                "name the stain's model with --stain, or the planes in the manifest",
            )
        return load_examples(data)
    from ..colonies.stains import Stains, own_planes
    from ..staining.stain_planes import StainPlanes

    own = own_planes(planes)
    return load_examples(data).with_stains(Stains(StainPlanes.load(stain), own))


def classified_images(data: str, classifier: ColonyClassifier, model: Path) -> Examples:
    """Images for a classifier, with the stains that it learned from.

    Raises
    ------
    FileError, ModelError
        The stain's model in its folder is not there, damaged, or another.
    """
    from ..colonies.examples import load_examples

    examples = load_examples(data)
    said = classifier.about.get("stains")
    if said is None:
        return examples
    from ..colonies.stains import STAIN, Stains
    from ..staining.stain_planes import StainPlanes

    stainer = StainPlanes.load(model / STAIN)
    if stainer.fingerprint != said["fingerprint"]:
        raise ModelError(
            "is not the model whose stains the classifier learned from",
            "copy the classifier's folder again",
            file=model / STAIN,
        )
    return examples.with_stains(Stains(stainer, said["own"]))
