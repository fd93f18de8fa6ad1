"""HTTP: connections, authentication, retries, and one method for each endpoint."""
