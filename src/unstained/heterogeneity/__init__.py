"""How cells differ: distributions, clusters, components, phenotypes, factors."""
