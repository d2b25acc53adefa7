"""Ends this process by kill -9 when it comes to the point named in ``DRAGOMAN_CRASH_AT``.

Python imports this before anything else where its folder is on ``PYTHONPATH``, in workers too. It puts the points
around the product's seams; the product knows nothing of them.
"""

import os
from contextlib import asynccontextmanager

from dragoman.accounting import account
from dragoman.attempt import trial
from harness.points import Fate, surround

_fate = Fate(os.environ["DRAGOMAN_CRASH_AT"])
_open, _sending, _finish = account.open_accountant, trial.Trial.sending, account.Tab.finish


@asynccontextmanager
async def _doomed(folder, ledger, **options):
    async with _open(folder, ledger, **options) as accounts:
        surround(accounts, ledger._database, _fate)
        yield accounts


async def _sent(self, further=None):
    reply = await _sending(self, further)
    _fate.reach("upstream")
    return reply


def _finished(self):
    _fate.reach("acked")
    _finish(self)
    _fate.reach("finished")


account.open_accountant = _doomed
trial.Trial.sending = _sent
account.Tab.finish = _finished
