"""Metrics window -> diagnosis -> decision. Pure: no clock, no socket, no randomness.

One algorithm per file, with its formula and source on top. `advance` is the only way in.
"""
