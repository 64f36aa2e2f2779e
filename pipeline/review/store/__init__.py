"""The review's database: tables, migrations, and every question and change the page asks for."""
