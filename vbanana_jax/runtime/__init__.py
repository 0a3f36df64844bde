"""What every program needs of the machine: processes, files, logs, signals."""
