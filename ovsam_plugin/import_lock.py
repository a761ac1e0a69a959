"""What takes seconds to import is imported by one thread at a time.

The App answers each question on a thread of its own. `from torchvision.ops import nms` locks the
part before the whole, `import torchvision` the whole before its parts: where two threads begin
so, Python stops one of them with "deadlock detected by _ModuleLock".
"""

from threading import RLock

IMPORTS = RLock()
"""Held around an import inside a function that a thread of the App may run."""
