"""Scan statistics that others can check: prospective and retrospective, permutation and Poisson."""
