"""Colonies of stem cells: found in whole wells, labelled by several people, classified from few labels."""
