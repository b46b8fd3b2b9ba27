"""The workbench's own package, as a session finds it: data connections, served functions, model metrics."""
