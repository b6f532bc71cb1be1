"""Why communication is exposed and the GPU idle: lost time split into sets of time, one a cause."""
