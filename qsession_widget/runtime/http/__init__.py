"""HTTP: routes, requests that are parsed, documents that are answered."""
