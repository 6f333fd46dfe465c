"""Who may call: signed tokens, the pages that may open a connection, and what each caller is granted.

Read `doorkeeper` for the decision, `tokens` for what a token must say, `origins` for web pages.
"""

from edge.auth.doorkeeper import Doorkeeper, Grant
from edge.auth.errors import Unauthorized
from edge.auth.origins import Origins
from edge.auth.tokens import Claims, TokenKeys

__all__ = ["Claims", "Doorkeeper", "Grant", "Origins", "TokenKeys", "Unauthorized"]
