"""Companies, users, roles and API clients: who may call and what they may do."""
