"""`jit_init`: an initialization function compiled in pieces."""
