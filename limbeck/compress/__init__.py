"""Methods that take a model and return a smaller one; each public module is one."""
