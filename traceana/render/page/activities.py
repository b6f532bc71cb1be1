"""What a GPU does with its time, as the charts of ranks draw it."""

ACTIVITIES = (
    ("compute", "compute alone"),
    ("overlapped", "overlapped communication"),
    ("exposed", "exposed communication"),
    ("memory", "memory"),
    ("idle", "idle"),
)
"""Style class and legend of each, in the order in which they are stacked."""
