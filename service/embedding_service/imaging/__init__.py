"""Pictures: what they are, decoding them, and the pixels that the model wants.

Law: pure. No torch, no clock, no threads, no environment: whatever is needed is an argument.
"""
