"""A file for the tests of asset stores."""

from tests.contract.asset_files import source

__all__ = ["source"]
