"""What a person should know before a migration."""
