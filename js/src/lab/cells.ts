/** The cells that are inserted into notebooks for users. */

/** Opens a session, runs a job and closes it. */
export const NEW_SESSION = `from qiskit import QuantumCircuit
from qsession_widget import Sampler, Session

bell = QuantumCircuit(2, name="bell")
bell.h(0)
bell.cx(0, 1)
bell.measure_all()

with Session(backend="fake_manila", max_time="10m") as session:
    display(session)
    job = Sampler(mode=session).run([bell], shots=1000)
    counts = job.result()[0].data.meas.get_counts()
counts`;

/** Holds a session that exists: `local` says that it is one of the local runtime. */
export function resume(id: string, local: boolean): string {
  const service = local ? 'QiskitRuntimeService(channel="local")' : "QiskitRuntimeService()";
  return `from qsession_widget import QiskitRuntimeService, Session

session = Session.from_id(${JSON.stringify(id)}, ${service})
session`;
}
