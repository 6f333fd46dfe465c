"""Simulation files that ship: what `edgectl simulate --list` names."""
