"""`make demo`: one resource becomes a running, diagnosed, live-tuned service, before your eyes.

Law: it shows only what it has checked. A step that did not happen ends it with the reason and the
place of the logs.
"""
