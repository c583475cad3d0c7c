"""Turns pictures into words."""
