"""The engine: data sets in, findings, clean data sets, models and reports out. No Prefect, no command line."""

__version__ = "0.1.0"
