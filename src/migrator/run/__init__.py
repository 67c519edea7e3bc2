"""One migration: plan, segments, engine, verification, report."""
