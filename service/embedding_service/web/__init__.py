"""HTTP: the only room that knows FastAPI, status codes and JSON shapes.

Envelope (request id, outcome, failures) -> KeyCheck -> Gate (admission, limits, disconnect)
-> routes
"""
