"""How a database that is away, or loses a connection, shows itself."""

from typing import Final

from asyncpg.exceptions import InterfaceError, PostgresError
from tortoise.exceptions import BaseORMException

# Tortoise lets the driver's own errors through, which have no common base; a timeout is an OSError.
DATABASE_ERRORS: Final = (BaseORMException, PostgresError, InterfaceError, OSError)
