"""The operator: turns EmbeddingService resources into running, diagnosed, live-tuned services.

Rooms, inner to outer: api (words), render, assess and tuning (pure decisions), clients (sockets),
handlers (kopf). import-linter holds the order.
"""
