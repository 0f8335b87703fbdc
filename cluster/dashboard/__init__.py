"""The live page: its views of event logs, and its HTML and JavaScript."""
