"""Launches on runners that Beam's flags name."""
