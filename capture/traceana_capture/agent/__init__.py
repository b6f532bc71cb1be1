"""What runs inside the command's processes: standard library and torch only."""
