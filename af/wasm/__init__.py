"""The generator of sandboxed networks: memory layout, kernels, module and manifest."""
