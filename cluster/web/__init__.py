"""The HTTP server of dashboard and service: views of logs, authentication, API and a client."""
