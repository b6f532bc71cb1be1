"""The launcher's side of capture: runs the command, collects what its ranks recorded, publishes it."""
