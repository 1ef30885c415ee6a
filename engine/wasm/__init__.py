"""From IR to a WebAssembly module: encoder, decoder, code generation, linking with the runtime.

Pure: bytes out are equal for equal input. It must not import the VM or read the clock or the environment.
"""
