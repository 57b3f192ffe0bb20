"""Single cells: outlines, segmentation, tracks, measures, shape."""
