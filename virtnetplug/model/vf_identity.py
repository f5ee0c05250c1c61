"""Which VF a VF is: an address names another one each time that its PF makes its VFs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Boot:
    """One run of this host's kernel: its boot id, and when it `began`, in Unix seconds by the clock of now (0 if not to be seen)."""

    id: str = ""
    began: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VfIdentity:
    """What the kernel shows of one VF and of no other: two that are equal are the same VF.

    `boot` is the kernel's boot id, `pf` the PCI address of its PF, `driver` the PF's driver (empty if it has none), and `binding` the
    inode of the link to that driver, which each bind makes anew (0 without a driver). `index` is the VF's number at its PF, and `inode` that
    of its directory in sysfs, which each change of ``sriov_numvfs`` makes anew. kernfs gives no inode number twice in a boot. All plain
    values, so that ``VfIdentity(**dataclasses.asdict(identity))`` is the way through JSON.
    """

    boot: str
    pf: str
    driver: str
    binding: int
    index: int
    inode: int

    def change(self, now: VfIdentity) -> str | None:
        """Why `now` is another VF, as the end of a sentence; None if it is the same one."""
        if now.boot != self.boot:
            return "this host was started anew since"
        if (now.pf, now.index) != (self.pf, self.index):
            return f"that was VF {self.index} of PF {self.pf}, and this is VF {now.index} of PF {now.pf}"
        if (now.driver, now.binding) != (self.driver, self.binding):
            return f"the driver of PF {self.pf} was bound anew since"
        if now.inode != self.inode:
            return f"the VFs of PF {self.pf} were made anew since"
        return None
