"""Printed and placed marks: words, letters, arrows, rulers, and burned-in identifiers."""
