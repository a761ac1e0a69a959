"""What a person does with a run's instances: search, name again, find the doubtful, review."""
