"""The `tfkit` command. Each command is one module; TensorFlow is only imported once a command needs it."""
