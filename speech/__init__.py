"""Turns words into sound."""
