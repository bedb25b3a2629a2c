#!/usr/bin/env python3
"""compare.py [NAME…]: runs the comparison and writes docs/conformance.md; with names of peers, it only says what came
of those. `EGRET_BINARY` is the Egret that takes part. Needs root; nothing leaves the network
namespace."""

import pathlib
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "e2e"))

# pylint: disable=wrong-import-position
import addresses
import framing
import names
import network
import page
import peers


def results_of(peer, where):
    """All groups of one peer, each with a fresh process."""
    def narrow():
        return peers.Running(peer, where)

    def wide():
        return peers.Running(peer, where, wide=True)

    return [*addresses.run(where, narrow), *names.run(where, narrow), *framing.run(where, wide)]


def main():
    wanted = sys.argv[1:]
    unknown = set(wanted) - {peer.name for peer in peers.PEERS}
    if unknown:
        known = ", ".join(peer.name for peer in peers.PEERS)
        print(f"compare.py: no peer {', '.join(sorted(unknown))}; there are {known}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no proxy is left behind
    outcomes, versions = {}, {}
    with network.Network() as where:
        for peer in peers.PEERS:
            if wanted and peer.name not in wanted:
                continue
            print(f"{peer.title} …", flush=True)
            versions[peer.title] = peers.version(peer)
            outcomes[peer.title] = results_of(peer, where)
    print("\n".join(page.table(["", *outcomes], page.summary(outcomes))))
    if wanted:
        print("\n".join(page.failures(outcomes)))
    else:
        page.write(outcomes, versions)
        print(f"written: {page.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
