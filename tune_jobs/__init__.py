"""What is run and when it stops: jobs, searches, schedulers, health, events, ledger, reports."""
