"""Move a SQLite database into DynamoDB, and prove it."""

__version__ = "0.1.0"
