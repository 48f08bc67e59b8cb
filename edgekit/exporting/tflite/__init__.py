"""Rewrites that make a TFLite file smaller or its graph faster without changing its outputs."""
