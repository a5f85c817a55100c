"""The engine: decode pool, slots, batcher, lanes, admission, and the pipeline that wires them.

Law: torch is imported only where it is needed (encoder, lanes on torch, texts, resampling);
no HTTP here. web/ and retune.py use `pipeline.Pipeline` and `admission.Admission`, nothing else.
"""
