"""Claims and helpers on what they must reject."""
