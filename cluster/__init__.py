"""User interfaces and deployment: command line, dashboard, queue, policy server, clusters."""
