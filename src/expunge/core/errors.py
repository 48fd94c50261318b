"""The error tree. Each message says what was asked, what was found, and what to do next.

Inner rooms raise these; only the command line and the service turn a class into an exit code or a status.
"""


class ExpungeError(Exception):
    """Root of every error that Expunge raises on purpose."""

    exit_code = 2


class InvalidParameter(ExpungeError, ValueError):
    """A parameter lies outside the range for which the method is defined."""


class UnknownMethod(ExpungeError):
    """No method, attack or learner of that name exists."""


class UnknownSubject(ExpungeError):
    """The subject has no record in the data that was searched."""


class UnknownRecord(ExpungeError):
    """A record was named that the model was never fitted on."""


class AlreadyForgotten(ExpungeError):
    """A record was named that the model has forgotten before."""


class NothingLeft(ExpungeError):
    """A deletion would leave nothing to fit: no record, or fewer classes than the learner needs."""


class BudgetSpent(ExpungeError):
    """A certified removal needs more of the privacy budget than is left."""


class RateLimited(ExpungeError):
    """Deletions ask for more work in a period than the operator allows."""


class UnknownName(ExpungeError):
    """No project, dataset, model or request of that name is recorded."""


class InvalidData(ExpungeError, ValueError):
    """Input data is malformed: a missing column, a duplicate id, a truncated file."""


class EmptyForgetSet(ExpungeError):
    """A request names nothing to forget."""


class UnsafeWeights(ExpungeError):
    """Weights are in a format that can run code when it is loaded."""


class UnreadableModel(ExpungeError):
    """A model folder is missing, truncated or not a model."""


class DigestMismatch(ExpungeError):
    """Bytes are not the ones that were recorded."""


class UnknownDetermined(ExpungeError):
    """What was asked depends on something that was never recorded."""


class RecipeMismatch(ExpungeError):
    """Code, configuration, libraries or processor mode differ from the recorded recipe."""


class UnsafeKeyFile(ExpungeError):
    """A secret file can be read by others."""


class ProjectLocked(ExpungeError):
    """Another process is writing to the project."""


class NotReady(ExpungeError):
    """A step was asked for before the step that it needs."""


class RebuildFailed(ExpungeError):
    """The user's script did not rebuild a unit, or a replay in a fresh process could not run."""


class WorkersLost(ExpungeError):
    """Workers died again and again over the same tasks."""


class DeliveryBlocked(ExpungeError):
    """A HIDDEN, DAMAGED or RETAINED result is delivered only by an override that names the flag."""

    exit_code = 1


class StorageFull(ExpungeError):
    """The disk refused a write; the state before the command still stands."""


class SystemRefused(ExpungeError):
    """The operating system refused to read or write a file."""


class PeerRefused(ExpungeError):
    """A place outside the project did not answer, or did not do what it was asked."""


class TooFewSamples(ExpungeError):
    """A statistic was asked of fewer samples than it needs."""


class MissingExtra(ExpungeError):
    """A part of Expunge was used whose optional packages are not installed."""


class InvalidCertificate(ExpungeError):
    """A certificate, signature, log or proof is malformed or does not verify."""

    exit_code = 1
