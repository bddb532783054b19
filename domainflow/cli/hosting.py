"""What `run`, `resume --follow` and their like have in common: give a command, then execute the campaign here or leave.

Nothing here decides which command.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from domainflow.actors.rules import Ack
from domainflow.cli import errors
from domainflow.cli.export import target_of, write
from domainflow.cli.follow import Follower
from domainflow.cli.options import Options
from domainflow.cli.output import Output
from domainflow.cli.session import home_of, opened
from domainflow.cli.signals import Signals
from domainflow.errors import InvalidInput
from domainflow.lab.process import Lab, read_ports
from domainflow.operations import CampaignHandle, Operations
from domainflow.runtime import Runtime
from domainflow.store import doctor_sql
