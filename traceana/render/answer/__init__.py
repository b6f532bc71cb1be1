"""What a report says in a sentence and a few numbers, for the page's first screen as for the terminal."""
