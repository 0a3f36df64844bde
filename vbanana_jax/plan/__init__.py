"""What a config costs on a slice of TPUs, found by compiling it for one.

The compiler needs no chip: libtpu describes a slice and compiles for it on any
machine. What it says of memory, and the programs that it makes, are the real
ones. Times are a roofline of published peaks: nothing was measured.
"""
