"""Verdicts as a record (JSON), a table and figures. Figures need matplotlib and are imported where they are drawn."""
