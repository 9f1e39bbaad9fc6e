"""Models of families that Limbeck does not have, run by `transformers`: teachers, not students.

They are read by the extra `limbeck[transformers]` and look like a `Model` to whoever runs one.
"""

from limbeck.models._foreign.config import ForeignConfig, name_adapter
from limbeck.models._foreign.model import ForeignModel

__all__ = ["ForeignConfig", "ForeignModel", "name_adapter"]
