"""The exit codes of the command."""

from enum import IntEnum

from i2v_client.errors import I2VError, InvalidRequest, NotFound, QuotaExceeded, Unauthenticated, Unreachable

HELP = """\b
Exit codes:
  0    success
  1    the service failed in a way of its own; quote the error id
  2    wrong use of this command
  3    refused: invalid input, or a limit of the plan
  4    the job ended without a video
  5    the server cannot be reached, or cannot do this now
  6    not found, or no valid key
  7    verify: the file is not genuine; rerun: the video is not the same; assets check: the export is not whole;
       admin invoice compare: the invoice and our calls differ
  130  interrupted
"""


class ExitCode(IntEnum):
    """How the command ended; HELP has the meaning of each."""

    OK = 0
    SERVICE = 1
    USAGE = 2
    REFUSED = 3
    NO_VIDEO = 4
    UNREACHABLE = 5
    UNKNOWN = 6
    DIFFERENT = 7
    INTERRUPTED = 130

    @classmethod
    def of(cls, error: I2VError) -> "ExitCode":
        """Returns the code for an error."""
        match error:
            case InvalidRequest() | QuotaExceeded():
                return cls.REFUSED
            case Unreachable():
                return cls.UNREACHABLE
            case NotFound() | Unauthenticated():
                return cls.UNKNOWN
            case _:
                return cls.SERVICE
