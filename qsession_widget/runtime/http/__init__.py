"""The runtime's HTTP layer: routes, parsing of requests, documents of responses."""
