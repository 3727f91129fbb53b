"""The machine: files, devices, memory, processes, and what a result was made with."""
