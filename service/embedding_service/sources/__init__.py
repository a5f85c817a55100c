"""Where images come from. Each source gives bytes, or says why one image failed alone.

Law: no web framework here; nothing of the engine is imported.
"""
