"""Procedural scenes in the file layouts of the benchmarks."""
