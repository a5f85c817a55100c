"""The cluster on this machine: build it, bring it up, look at it, take it down.

Law: standard library only. It runs before anything is installed, so it imports nothing of the
product and no package from PyPI.
"""
