"""Verdicts as a record (JSON), tables, a page and figures, which are imported where they are drawn."""
