"""Behaviour under misuse and faults: bad calls, hooks, trained weights, caches, files and the pytest interface."""
