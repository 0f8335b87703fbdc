"""Jobs: their fields, YAML files, command-line flags, search spaces, checks and presets."""
