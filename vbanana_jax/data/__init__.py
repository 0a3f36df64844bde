"""Examples from scenes and pictures, posed as tasks, in a stateless order."""
