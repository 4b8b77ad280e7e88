"""Rounds of seeded trouble: real workers on a real broker must end where an undisturbed run ends."""
