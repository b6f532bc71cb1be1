"""One module a section of the page, beside the template of its name."""
