"""The names of qiskit-ibm-runtime's errors, for programs in which only the import is changed.

`except` with one of them catches at least what it catches there. New programs should use the names
of `qsession_widget`.
"""

from __future__ import annotations

from qsession_widget import errors

IBMError = errors.QSessionError
IBMAccountError = errors.InvalidInputError
IBMApiError = errors.ServiceError
IBMBackendError = errors.QSessionError
IBMBackendApiError = errors.ServiceError
IBMBackendApiProtocolError = errors.ServiceError
IBMBackendValueError = errors.InvalidInputError
IBMInputValueError = errors.InvalidInputError
IBMNotAuthorizedError = errors.NotAuthorizedError
IBMRuntimeError = errors.QSessionError
RuntimeInvalidStateError = errors.QSessionError
"""For final jobs that cannot be cancelled (ConflictError), and results of cancelled jobs
(JobCancelledError)."""
RuntimeJobFailureError = errors.JobFailedError
RuntimeJobMaxTimeoutError = errors.JobFailedError
RuntimeJobNotFound = errors.NotFoundError
RuntimeJobTimeoutError = errors.JobTimeoutError
RuntimeProgramNotFound = errors.NotFoundError
