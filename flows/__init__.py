"""Prefect flows, tasks and the command line: thin callers of `pipeline`."""
