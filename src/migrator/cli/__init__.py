"""The front door: parse, build the objects, one error handler, exit codes.

Nothing heavy is imported before a command needs it, so that `migrator --help` answers at once.
"""

from __future__ import annotations

from migrator.cli.app import main

__all__ = ["main"]
