"""What `analyze` leaves for programs: report.json and collectives.parquet, written and read here."""
