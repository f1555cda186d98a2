"""Properties of the library, tested over random inputs, one file per module."""
