"""The review: what people decide about findings and regions, and the page on which they do.

values    what store, API and pages say to each other
store     the database: decisions are appended, superseded, never overwritten
web       the application
backend   what the page asks of the stages above it
"""
