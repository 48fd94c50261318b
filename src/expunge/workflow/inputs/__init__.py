"""What users hand in: facts, rows, chats, identities, recipes."""
