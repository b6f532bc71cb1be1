"""The page around the sections, and what their drawings share."""
