"""Names that qiskit-ibm-runtime has for errors, for programs in which only the import is changed.

`except` with one of them meets at least what it meets there. New programs take the names of
`qsession_widget`.
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
"""Of a job that is over and cannot be cancelled (ConflictError), and of the result of one that was
cancelled (JobCancelledError)."""
RuntimeJobFailureError = errors.JobFailedError
RuntimeJobMaxTimeoutError = errors.JobFailedError
RuntimeJobNotFound = errors.NotFoundError
RuntimeJobTimeoutError = errors.JobTimeoutError
RuntimeProgramNotFound = errors.NotFoundError
