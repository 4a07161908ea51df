"""Ablations: arms that differ in a setting, trained and evaluated over seeds, set side by side."""
