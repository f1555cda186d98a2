"""Hot paths, each beside the naive way of doing the same thing."""
