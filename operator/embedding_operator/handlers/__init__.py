"""The acting edge: read, make one pure call, write, report. kopf lives here and nowhere else."""
