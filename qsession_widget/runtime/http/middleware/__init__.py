"""ASGI middlewares, and the guard of connections."""
