"""How cells change over time: traces, correlations, kymographs, divisions."""
