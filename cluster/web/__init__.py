"""The HTTP server of dashboard and service: authentication, API, schemas and a client."""
