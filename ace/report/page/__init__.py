"""A run as one HTML page that needs nothing else: no network, no other file, and for all but filters no script."""

from ace.report.page.render import page

__all__ = ["page"]
