"""What the operator and the server must agree on, and nothing else.

Law: standard library only; imports nothing of ours; no clock, no socket, no environment.
"""
