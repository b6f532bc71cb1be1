"""Files to columns: which traces there are, and what is in them."""
