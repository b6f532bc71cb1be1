"""The report as tables of text, for the terminal and Markdown."""
