"""The names under which our queue entries are in DBOS's tables, for processes that need no DBOS themselves."""

MAKE_VIDEO = "make_video"
"""Name of the workflow."""
APPLICATION_VERSION = "1"
"""Set by hand: DBOS runs a workflow only under the version it was enqueued with."""
APPLICATION_NAME = "i2v-orchestrator"
