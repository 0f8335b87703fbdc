"""Live progress and outcomes in the terminal, drawn from event rows."""
