"""The local runtime: a server that speaks IBM's Qiskit Runtime REST API and runs jobs on Aer.

It never imports the client, and the client never imports it: HTTP is the border.
"""
