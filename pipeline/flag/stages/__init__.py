"""The evidence stages of an audit: each makes one artifact of the run folder from those before it."""
