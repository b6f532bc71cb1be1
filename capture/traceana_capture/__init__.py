"""What runs inside the captured program: standard library and torch only, silent unless something is wrong."""
