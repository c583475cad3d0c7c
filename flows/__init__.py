"""Runs the batch job: the only room that knows the captioner, the voice and Prefect."""
