"""Alerts as other programs and people read them: each format is one function from what may be told to bytes."""
