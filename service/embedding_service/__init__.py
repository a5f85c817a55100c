"""The server: turns images and texts into vectors on one GPU, or on a CPU.

Law: web -> retune | engine | sources -> imaging -> embedding_contract, never the other way.
"""
