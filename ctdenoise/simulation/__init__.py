"""The low-dose simulator: projections, counts, noise."""
