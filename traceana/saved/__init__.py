"""What `analyze` and `bench` leave for programs: report.json, collectives.parquet and bench.json."""
