"""DynamoDB: tables and writes. Knows nothing of SQLite."""
