"""Prefect tasks: each calls one stage of `pipeline`, takes and returns paths and small records."""
