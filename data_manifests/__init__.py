"""Facts about data sets, never pixels. `README.md` beside this file is the schema in prose."""
