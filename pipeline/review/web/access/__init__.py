"""Who may see and do what on the review page: links, accounts, sessions, roles, and the log of all that."""
