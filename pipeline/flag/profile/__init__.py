"""What the table alone gives away, no model needed: associations, leakage, duplicates across splits."""
