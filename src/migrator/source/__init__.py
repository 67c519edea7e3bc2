"""SQLite: what a file holds. Knows nothing of DynamoDB."""
