# pyright: basic, reportAttributeAccessIssue=false
"""A second device for tests on a CPU: what would fail on CUDA fails on it, too.

Its tensors say that they are on the device `second`, while their numbers are in the memory of the
CPU, where all operations run. So torch itself refuses to mix them with tensors of the CPU and to
make numpy arrays of them; generators of the CPU are refused here, as CUDA does.
"""

from contextlib import nullcontext

import torch
from torch.utils import _pytree as pytree
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "second"
CPU = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
MEMORY: dict[int, torch.Tensor] = {}
"""Address of a storage on the device -> the numbers, as a flat tensor on the CPU."""
MOVES = ("aten._copy_from.default", "aten.set_.source_Storage_storage_offset")


def _to_device(raw, onto=None):
    """A tensor on the device that shares the memory of a CPU tensor."""
    memory = raw.untyped_storage()
    flat = torch.empty(0, dtype=raw.dtype).set_(memory)
    place = torch.device(NAME, 0)
    storage = torch._C._construct_storage_from_data_pointer(flat.data_ptr(), place, memory.nbytes())
    MEMORY[storage._cdata] = flat
    onto = torch._C._acc.create_empty_tensor((0,), raw.dtype) if onto is None else onto
    layout = raw.storage_offset(), raw.shape, raw.stride()
    setter = torch.ops.aten.set_.source_Storage_storage_offset
    return setter.redispatch(CPU, onto, storage, *layout)


def _view(base, raw):
    layout = raw.shape, raw.stride(), raw.storage_offset()
    return torch.ops.aten.as_strided.default.redispatch(CPU, base, *layout)


class _Call:
    """An operation on tensors of the device, done on the CPU."""

    def __init__(self, op):
        self.op, self.given, self.memories = op, {}, {}

    def take(self, x):
        """An argument as the CPU needs it."""
        if isinstance(x, torch.Generator):
            raise RuntimeError(f"{self.op}: a generator of the CPU on the second device")
        if isinstance(x, torch.device):
            return torch.device("cpu")
        if not isinstance(x, torch.Tensor):
            return x
        if x.device.type != NAME:
            if x.ndim and str(self.op) not in MOVES:
                raise RuntimeError(f"{self.op}: a tensor of the CPU meets one of the second device")
            return x
        memory = MEMORY[x.untyped_storage()._cdata]
        if memory.dtype != x.dtype:
            memory = memory.view(x.dtype)
        raw = memory.as_strided(x.shape, x.stride(), x.storage_offset())
        self.given[id(raw)] = x, raw
        self.memories[raw.untyped_storage()._cdata] = x
        return raw

    def give(self, x):
        """A result of the CPU as one on the device."""
        if not isinstance(x, torch.Tensor):
            return x
        if id(x) in self.given:
            own = self.given[id(x)][0]
            return own if own.shape == x.shape else _to_device(x, onto=own)
        base = self.memories.get(x.untyped_storage()._cdata)
        return _to_device(x) if base is None else _view(base, x)


def _run(op, *args, **kwargs):
    call = _Call(op)
    args_here, kwargs_here = pytree.tree_map(call.take, (args, kwargs))
    if str(op) == "aten._copy_from.default":
        args_here[1].copy_(args_here[0])
        return args[1]
    if str(op) == "aten._local_scalar_dense.default":
        return args_here[0].item()
    return pytree.tree_map(call.give, op(*args_here, **kwargs_here))


class Module:
    """What torch asks a device for; there is one, and nothing is drawn on it."""

    is_available = is_initialized = staticmethod(lambda: True)
    current_device = staticmethod(lambda: 0)
    device_count = staticmethod(lambda: 1)
    device = staticmethod(lambda index: nullcontext())
    get_rng_state = staticmethod(lambda device=0: torch.zeros(1, dtype=torch.uint8))
    set_rng_state = staticmethod(lambda state, device=0: None)
    manual_seed_all = staticmethod(lambda seed: None)
    get_amp_supported_dtype = staticmethod(lambda: [torch.float16, torch.bfloat16])
    _is_in_bad_fork = staticmethod(lambda: False)


def make_second_device():
    """The device; registered once in a process, as torch has room for one."""
    if not hasattr(torch, NAME):
        _setup_privateuseone_for_python_backend(NAME, Module())
        make_second_device.library = torch.library.Library("_", "IMPL")
        make_second_device.library.fallback(_run, "PrivateUse1")
    return torch.device(NAME, 0)
