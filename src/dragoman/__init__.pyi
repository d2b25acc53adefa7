from dragoman.clients.google import get_calendar_service as get_calendar_service
from dragoman.clients.google import get_drive_service as get_drive_service
from dragoman.clients.google import get_gmail_service as get_gmail_service
from dragoman.clients.google import get_google_service as get_google_service
from dragoman.clients.google import get_sheets_service as get_sheets_service
from dragoman.clients.rest import get_service as get_service
from dragoman.clients.retry import api_call_with_retry as api_call_with_retry
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
