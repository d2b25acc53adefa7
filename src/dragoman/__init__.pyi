from dragoman.library.answer import Reply as Reply
from dragoman.library.conversation import Conversation as Conversation
from dragoman.library.failures import CallError as CallError
from dragoman.library.keys import get_api_key as get_api_key
from dragoman.library.parallel import parallel as parallel
from dragoman.library.response import (
    ask as ask,
)
from dragoman.library.response import (
    get_ai_model as get_ai_model,
)
from dragoman.library.response import (
    get_response as get_response,
)

__version__: str
