"""A run played again on its graph of dependencies, as it was or with something changed."""
