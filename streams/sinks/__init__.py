"""Adapters to receivers: each sends parcels by one kind of sink, and tells failures by their category."""
