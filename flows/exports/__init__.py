"""Rows as files that other systems take: one module a format, `formats` the table of them, `exporting` the way."""
