"""qsession-widget: see and steer a quantum session from the notebook."""
