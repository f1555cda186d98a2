"""Families of claims, one folder each. A new folder with a record `FAMILY` is a new family; nothing else names it."""
