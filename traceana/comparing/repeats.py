"""How many repeats a side needs before they say something."""

FEWEST_REPEATS = 3
"""Two runs leave Student's t one degree of freedom a side, whose intervals are 13 standard errors wide either way."""
