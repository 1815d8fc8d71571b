"""Sentences for people, computed from the sections of a record: one module a section, shared by page, card, console and compare."""
