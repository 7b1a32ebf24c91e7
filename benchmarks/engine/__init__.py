"""Measures the engine by itself and in an image: ``python -m benchmarks.engine``."""
