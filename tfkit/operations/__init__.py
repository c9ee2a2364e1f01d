"""What tfkit does with a model that the user names: predict, verify, export, optimize and time it."""
