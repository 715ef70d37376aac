#!/usr/bin/env python3
"""Makes golden blocks for Prague and Osaka from Ethereum's executable specification.

    pip install ethereum-execution==2.20.0
    python generate.py [--chains 20] [--blocks 6] [--out blocks]

Each chain starts from accounts with random programs; each block has a handful of
random transactions of every type, withdrawals, and calls to the system contracts.
What the specification refuses is left out; what it takes becomes a block, which
its own `state_transition` then checks as a whole. The files are in the
BlockchainTests format. Everything follows from the seed, which is the number of
the chain, so anybody gets the same bytes.
"""

import argparse
import importlib
import io
import json
import random
from pathlib import Path
from types import SimpleNamespace

from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric import ec
from ethereum.crypto.hash import keccak256
from ethereum_rlp import rlp
from ethereum_spec_tools.evm_tools.t8n import T8N, ForkCache
from ethereum_types.bytes import Bytes8, Bytes20, Bytes32, Bytes256
from ethereum_types.numeric import U64, U256, Uint

CHAIN_ID = 1
GAS_LIMIT = 30_000_000
TX_GAS_MAX = 1 << 24
COINBASE = "0x" + "c0" * 20
GWEI = 10**9
EMPTY_TRIE = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
EMPTY_OMMERS = keccak256(rlp.encode([]))
EMPTY_REQUESTS = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

# Addresses and codes of the system contracts: EIP-4788, 2935, 7002, 7251.
SYSTEM = json.loads((Path(__file__).parent / "system_contracts.json").read_text())
WITHDRAWAL_REQUESTS = "0x00000961ef480eb55e80d19ad83579a64c007002"
CONSOLIDATION_REQUESTS = "0x0000bbddc7ce488642fb579f8b00f3a590007251"


class Key:
    """An account that signs."""

    def __init__(self, number):
        self.secret = keccak256(b"golden account %d" % number)
        self.key = PrivateKey(bytes(self.secret))
        public = self.key.public_key.format(compressed=False)[1:]
        self.address = "0x" + keccak256(public)[12:].hex()
        self.nonce = 0

    def sign(self, digest):
        """r, s and the parity of y."""
        signature = self.key.sign_recoverable(digest, hasher=None)
        numbers = [int.from_bytes(part, "big") for part in (signature[:32], signature[32:64])]
        return numbers[0], numbers[1], signature[64]


def push(value, width=None):
    """Shortest PUSH of a number, or of bytes."""
    data = value if isinstance(value, bytes) else value.to_bytes((value.bit_length() + 7) // 8, "big")
    if width:
        data = data.rjust(width, b"\0")
    return bytes([0x5F + len(data)]) + data


def address_bytes(text):
    return bytes.fromhex(text[2:])


class Programs:
    """Random programs out of pieces that leave the stack as it was."""

    def __init__(self, rng, fork, known):
        self.rng, self.fork, self.known = rng, fork, known

    def slot(self):
        return push(self.rng.randrange(6))

    def store(self, value):
        return value + self.slot() + b"\x55"

    def arithmetic(self):
        rng = self.rng
        word = lambda: push(rng.choice([0, 1, 2, 255, 2**255, 2**256 - 1, rng.getrandbits(256)]))
        two = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0A, 0x0B, 0x10, 0x11, 0x12, 0x13, 0x14,
               0x16, 0x17, 0x18, 0x1A, 0x1B, 0x1C, 0x1D]
        one = [0x15, 0x19] + ([0x1E] if self.fork == "Osaka" else [])
        code = word()
        for _ in range(rng.randrange(1, 5)):
            code += bytes([rng.choice(one)]) if rng.random() < 0.3 else word() + bytes([rng.choice(two)])
        if rng.random() < 0.2:
            code += word() + word() + bytes([rng.choice([0x08, 0x09])])
        return self.store(code)

    def environment(self):
        simple = [0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3A, 0x3D, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46,
                  0x47, 0x48, 0x4A, 0x58, 0x59, 0x5A]
        rng = self.rng
        code = rng.choice([
            lambda: bytes([rng.choice(simple)]),
            lambda: push(rng.randrange(3)) + b"\x49",
            lambda: push(rng.randrange(4)) + b"\x40",
            lambda: push(address_bytes(rng.choice(self.known))) + bytes([rng.choice([0x31, 0x3B, 0x3F])]),
            lambda: push(rng.randrange(64)) + b"\x35",
        ])()
        return self.store(code)

    def storage(self):
        rng = self.rng
        if rng.random() < 0.4:
            return push(rng.randrange(3)) + self.slot() + b"\x5d" + self.store(self.slot() + b"\x5c")
        value = b"\x5f" if rng.random() < 0.4 else push(rng.randrange(1, 4))
        return value + self.slot() + b"\x55" + self.store(self.slot() + b"\x54" + b"\x60\x01\x01")

    def memory(self):
        rng = self.rng
        size, at, to = rng.randrange(80), rng.randrange(96), rng.randrange(96)
        copies = [
            push(size) + push(at) + push(to) + b"\x5e",
            push(size) + push(at) + push(to) + b"\x39",
            push(size) + push(at) + push(to) + b"\x37",
            push(size) + push(at) + push(to) + push(address_bytes(rng.choice(self.known))) + b"\x3c",
            push(rng.getrandbits(256)) + push(at) + bytes([rng.choice([0x52, 0x53])]),
        ]
        return rng.choice(copies) + self.store(push(rng.randrange(128)) + push(at) + b"\x20")

    def log(self):
        topics = self.rng.randrange(5)
        code = b"".join(push(self.rng.getrandbits(self.rng.choice([8, 256]))) for _ in range(topics))
        return code + push(self.rng.randrange(70)) + push(self.rng.randrange(40)) + bytes([0xA0 + topics])

    def call(self, to=None, input_size=None):
        rng = self.rng
        kind = rng.choice([0xF1, 0xF1, 0xF2, 0xF4, 0xFA])
        to = to or address_bytes(rng.choice(self.known))
        gas = push(rng.choice([0, 2300, 30_000, 120_000])) if rng.random() < 0.8 else b"\x5a"
        value = push(rng.choice([0, 0, 1])) if kind in (0xF1, 0xF2) else b""
        size = rng.randrange(100) if input_size is None else input_size
        code = push(32) + push(rng.randrange(64)) + push(size) + b"\x5f" + value + push(to) + gas + bytes([kind])
        returned = b"\x3d\x5f\x60\x80\x3e" + b"\x3d\x60\x80\x20"
        return self.store(code) + self.store(returned)

    def precompile(self):
        rng = self.rng
        last = 0x11
        number = rng.randrange(1, last + 1)
        to = bytes([number])
        if self.fork == "Osaka" and rng.random() < 0.2:
            to = b"\x01\x00"
        data = self.input_of(int.from_bytes(to, "big"))
        write = b"".join(
            push(data[at:at + 32].ljust(32, b"\0")) + push(at) + b"\x52" for at in range(0, len(data), 32)
        )
        return write + self.call(to, len(data))

    def input_of(self, number):
        """Sometimes valid, sometimes not."""
        rng = self.rng
        word = lambda value: value.to_bytes(32, "big")
        if number == 1:
            digest = rng.randbytes(32)
            r, s, y = Key(rng.randrange(9)).sign(digest)
            return digest + word(27 + y) + word(r) + word(s)
        if number == 5:
            sizes = [rng.randrange(40) for _ in range(3)]
            return b"".join(map(word, sizes)) + rng.randbytes(sum(sizes))
        if number in (6, 8):
            return rng.choice([bytes(128), word(1) + word(2) + bytes(64), rng.randbytes(64)]) if number == 6 else bytes(192)
        if number == 7:
            return word(1) + word(2) + word(rng.randrange(1000))
        if number == 9:
            return rng.randrange(12).to_bytes(4, "big") + rng.randbytes(208) + bytes([rng.randrange(2)])
        if number == 0x0B:
            return rng.choice([bytes(256), rng.randbytes(256)])
        if number == 0x0C:
            return bytes(160 * rng.randrange(1, 3))
        if number == 0x0D:
            return bytes(512)
        if number == 0x0E:
            return bytes(288)
        if number == 0x0F:
            return bytes(384)
        if number == 0x10:
            return bytes(16) + bytes(15) + rng.randbytes(33)
        if number == 0x11:
            return (bytes(16) + bytes(15) + rng.randbytes(33)) * 2
        if number == 0x100:
            secret = ec.derive_private_key(rng.randrange(1, 2**128), ec.SECP256R1())
            digest = rng.randbytes(32)
            point = secret.public_key().public_numbers()
            # The library draws its own nonce, so this signs by hand: the seed decides.
            r, s = p256_sign(secret.private_numbers().private_value, digest, rng)
            return digest + word(r ^ rng.choice([0, 0, 1])) + word(s) + word(point.x) + word(point.y)
        return rng.randbytes(rng.randrange(130))

    def create(self):
        rng = self.rng
        runtime = rng.choice([b"", b"\x00", b"\x60\x2a\x5f\x52\x60\x20\x5f\xf3", b"\xef\x00", b"\x33\xff"])
        init = push(runtime.ljust(32, b"\0")) + b"\x5f\x52" + push(len(runtime)) + b"\x5f\xf3" if runtime else b"\x00"
        if rng.random() < 0.2:
            init = b"\x33\xff"
        padded = init.ljust(64, b"\0")
        write = push(padded[:32]) + b"\x5f\x52" + push(padded[32:]) + b"\x60\x20\x52"
        value = push(rng.choice([0, 0, 1]))
        if rng.random() < 0.5:
            return write + self.store(push(len(init)) + b"\x5f" + value + b"\xf0")
        return write + self.store(push(rng.randrange(3)) + push(len(init)) + b"\x5f" + value + b"\xf5")

    def end(self):
        rng = self.rng
        return rng.choice([
            b"\x00", b"\x00", b"\x00",
            push(rng.randrange(64)) + b"\x5f\xf3",
            # Reverts if the first byte of the input is odd.
            b"\x5f\x35\x5f\x1a\x60\x01\x16\x15" + b"\x58\x60\x08\x01\x57\x5f\x5f\xfd\x5b\x00",
            push(address_bytes(rng.choice(self.known))) + b"\xff",
            b"\xfe",
        ])

    def program(self):
        pieces = [self.arithmetic, self.environment, self.storage, self.storage, self.memory, self.log,
                  self.call, self.call, self.precompile, self.create]
        body = b"".join(self.rng.choice(pieces)() for _ in range(self.rng.randrange(2, 12)))
        return body + self.end()


P256_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def p256_sign(secret, digest, rng):
    nonce = rng.randrange(1, 2**128)
    r = ec.derive_private_key(nonce, ec.SECP256R1()).public_key().public_numbers().x % P256_N
    s = pow(nonce, -1, P256_N) * (int.from_bytes(digest, "big") + r * secret) % P256_N
    return r, s


def number(value):
    """Minimal big endian, as RLP has it."""
    return int(value).to_bytes((int(value).bit_length() + 7) // 8, "big")


class Transactions:
    """Random signed transactions as wire bytes."""

    def __init__(self, rng, fork, keys, contracts):
        self.rng, self.fork, self.keys, self.contracts = rng, fork, keys, contracts

    def access_list(self):
        rng = self.rng
        slots = lambda: [bytes(31) + bytes([rng.randrange(6)]) for _ in range(rng.randrange(4))]
        targets = [key.address for key in self.keys] + self.contracts
        return [[address_bytes(rng.choice(targets)), slots()] for _ in range(rng.randrange(4))]

    def target(self):
        rng = self.rng
        choice = rng.random()
        if choice < 0.7:
            return address_bytes(rng.choice(self.contracts)), rng.randbytes(rng.randrange(70))
        if choice < 0.8:
            return address_bytes(rng.choice(self.keys).address), b""
        if choice < 0.85:
            return rng.randbytes(20), b""
        if choice < 0.9:
            return address_bytes(WITHDRAWAL_REQUESTS), rng.randbytes(56)
        if choice < 0.95:
            return address_bytes(CONSOLIDATION_REQUESTS), rng.randbytes(96)
        return address_bytes(rng.choice(SYSTEM["plain"])), rng.randbytes(32)

    def one(self, base_fee, blob_fee):
        """The bytes of a transaction and its sender, whose nonce is not counted up yet."""
        rng = self.rng
        sender = rng.choice(self.keys)
        to, data = self.target()
        kind = rng.choice([0, 0, 1, 2, 2, 2, 3, 4, 4])
        if kind < 3 and rng.random() < 0.2:
            programs = Programs(rng, self.fork, self.contracts)
            runtime = programs.program()[:200]
            size = push(len(runtime), 1)
            to, data = b"", size + b"\x60\x0c" + b"\x5f\x39" + size + b"\x5f\xf3" + b"\x00" * 3 + runtime
        tip = rng.choice([0, 1, GWEI])
        most = base_fee + rng.choice([0, 1, GWEI, 5 * GWEI])
        tip = min(tip, most)
        gas = rng.choice([60_000, 150_000, 400_000, 1_000_000])
        value = rng.choice([0, 0, 1, 10**15])
        nonce = number(sender.nonce)
        if kind == 0:
            fields = [nonce, number(most), number(gas), to, number(value), data]
            if rng.random() < 0.8:
                digest = keccak256(rlp.encode(fields + [number(CHAIN_ID), b"", b""]))
                r, s, y = sender.sign(digest)
                v = 35 + 2 * CHAIN_ID + y
            else:
                r, s, y = sender.sign(keccak256(rlp.encode(fields)))
                v = 27 + y
            return rlp.encode(fields + [number(v), number(r), number(s)]), sender
        fees = [number(most)] if kind == 1 else [number(tip), number(most)]
        fields = [number(CHAIN_ID), nonce, *fees, number(gas), to, number(value), data, self.access_list()]
        if kind == 3:
            hashes = [b"\x01" + rng.randbytes(31) for _ in range(rng.randrange(1, 4))]
            fields += [number(blob_fee + rng.randrange(3)), hashes]
        if kind == 4:
            fields.append([self.authorization(sender) for _ in range(rng.randrange(1, 4))])
        r, s, y = sender.sign(keccak256(bytes([kind]) + rlp.encode(fields)))
        return bytes([kind]) + rlp.encode(fields + [number(y), number(r), number(s)]), sender

    def authorization(self, sender):
        rng = self.rng
        authority = rng.choice(self.keys)
        nonce = authority.nonce + (authority is sender) + rng.choice([0, 0, 0, 1])
        target = bytes(20) if rng.random() < 0.2 else address_bytes(rng.choice(self.contracts))
        chain = rng.choice([0, CHAIN_ID, CHAIN_ID, 7])
        fields = [number(chain), target, number(nonce)]
        r, s, y = authority.sign(keccak256(b"\x05" + rlp.encode(fields)))
        return fields + [number(y), number(r), number(s)]


class Chain:
    """A chain as the specification computes it."""

    def __init__(self, fork, seed):
        self.name, self.seed = fork, seed
        self.rng = random.Random(f"{fork} {seed}")
        module = f"ethereum.forks.{fork.lower()}"
        self.fork = importlib.import_module(module + ".fork")
        self.blocks_module = importlib.import_module(module + ".blocks")
        self.state_module = importlib.import_module(module + ".state")
        self.gas = importlib.import_module(module + ".vm.gas")
        self.keys = [Key(index) for index in range(8)]
        self.contracts = ["0x" + bytes([0x10 + index] * 20).hex() for index in range(7)]
        known = self.contracts + [key.address for key in self.keys[:2]]
        programs = Programs(self.rng, fork, known)
        self.alloc = {key.address: {"balance": hex(10**24), "nonce": "0x0", "code": "0x", "storage": {}} for key in self.keys}
        for address in self.contracts:
            storage = {"0x" + bytes(31).hex() + "%02x" % slot: hex(self.rng.randrange(1, 9)) for slot in range(self.rng.randrange(4))}
            code = "0x" + programs.program().hex()
            self.alloc[address] = {"balance": hex(self.rng.randrange(100)), "nonce": "0x1", "code": code, "storage": storage}
        for address, code in SYSTEM["codes"].items():
            self.alloc[address] = {"balance": "0x0", "nonce": "0x1", "code": code, "storage": {}}
        self.pre = json.loads(json.dumps(self.alloc))
        root = self.transition([], [], dict(self.env_of_genesis())).root_before
        self.genesis = self.header(
            parent=bytes(32), number_=0, root=root, transactions=EMPTY_TRIE, receipts=EMPTY_TRIE, bloom=bytes(256),
            gas_used=0, base_fee=GWEI, time=1_000, withdrawals=EMPTY_TRIE, blob_gas=0,
            excess=self.rng.choice([0, 0, 40 * 131_072]), beacon=bytes(32), requests=EMPTY_REQUESTS, random_=bytes(32),
        )
        self.headers, self.blocks = [self.genesis], []

    def env_of_genesis(self):
        return {
            "currentCoinbase": COINBASE, "currentGasLimit": hex(GAS_LIMIT), "currentNumber": "0x1",
            "currentTimestamp": "0x3e8", "currentRandom": "0x0", "currentBaseFee": "0x7", "currentExcessBlobGas": "0x0",
            "parentBeaconBlockRoot": "0x" + "00" * 32, "blockHashes": {"0x0": "0x" + "00" * 32}, "withdrawals": [],
        }

    def header(self, *, parent, number_, root, transactions, receipts, bloom, gas_used, base_fee, time, withdrawals,
               blob_gas, excess, beacon, requests, random_):
        return self.blocks_module.Header(
            parent_hash=Bytes32(parent), ommers_hash=Bytes32(EMPTY_OMMERS), coinbase=Bytes20(address_bytes(COINBASE)),
            state_root=Bytes32(root), transactions_root=Bytes32(transactions), receipt_root=Bytes32(receipts),
            bloom=Bytes256(bloom), difficulty=Uint(0), number=Uint(number_), gas_limit=Uint(GAS_LIMIT),
            gas_used=Uint(gas_used), timestamp=U256(time), extra_data=b"", prev_randao=Bytes32(random_),
            nonce=Bytes8(bytes(8)), base_fee_per_gas=Uint(base_fee), withdrawals_root=Bytes32(withdrawals),
            blob_gas_used=U64(blob_gas), excess_blob_gas=U64(excess), parent_beacon_block_root=Bytes32(beacon),
            requests_hash=Bytes32(requests),
        )

    def transition(self, transactions, withdrawals, env):
        """Runs the specification's own transition tool in this process."""
        options = SimpleNamespace(
            input_alloc="stdin", input_env="stdin", input_txs="stdin", blob_parameters=None, state_fork=self.name,
            state_chainid=CHAIN_ID, state_reward=-1, trace=False, opcode_count=None, state_test=False,
            output_basedir=".", output_alloc="stdout", output_result="stdout", output_body=None,
        )
        listed = [raw if raw[0] < 0x80 else rlp.decode(raw) for raw in transactions]
        stdin = {"alloc": json.loads(json.dumps(self.alloc)), "env": env, "txs": "0x" + rlp.encode(listed).hex()}
        out = io.StringIO()
        with ForkCache() as cache:
            tool = T8N(options, out, io.StringIO(json.dumps(stdin)), cache)
            root_before = bytes(self.state_module.state_root(tool.alloc.state)) if not transactions else None
            if not env.get("genesis", True):
                tool.run_blockchain_test()
        return SimpleNamespace(tool=tool, result=tool.result, root_before=root_before)

    def make_block(self):
        rng, parent = self.rng, self.headers[-1]
        base_fee = self.fork.calculate_base_fee_per_gas(
            Uint(GAS_LIMIT), parent.gas_limit, parent.gas_used, parent.base_fee_per_gas)
        excess = self.gas.calculate_excess_blob_gas(parent)
        blob_fee = int(self.gas.calculate_blob_gas_price(excess))
        number_, time = int(parent.number) + 1, int(parent.timestamp) + rng.randrange(1, 40)
        withdrawals = [
            {"index": hex(number_ * 10 + index), "validatorIndex": hex(rng.randrange(99)),
             "address": rng.choice(self.contracts + [key.address for key in self.keys]), "amount": hex(rng.randrange(10**9))}
            for index in range(rng.randrange(3))
        ]
        beacon, random_ = rng.randbytes(32), rng.randbytes(32)
        env = {
            "currentCoinbase": COINBASE, "currentGasLimit": hex(GAS_LIMIT), "currentNumber": hex(number_),
            "currentTimestamp": hex(time), "currentRandom": "0x" + random_.hex(), "currentBaseFee": hex(int(base_fee)),
            "currentExcessBlobGas": hex(int(excess)), "parentBeaconBlockRoot": "0x" + beacon.hex(), "genesis": False,
            "blockHashes": {hex(index): "0x" + keccak256(rlp.encode(header)).hex() for index, header in enumerate(self.headers)},
            "withdrawals": withdrawals,
        }
        source = Transactions(rng, self.name, self.keys, self.contracts)
        made = []
        nonces = [key.nonce for key in self.keys]
        for _ in range(rng.randrange(2, 9)):
            raw, sender = source.one(int(base_fee), blob_fee)
            made.append(raw)
            sender.nonce += 1
        for key, nonce in zip(self.keys, nonces):
            key.nonce = nonce
        taken = self.accepted(made, withdrawals, env)
        done = self.transition(taken, withdrawals, env)
        result = done.result
        assert not done.tool.txs.rejected_txs, done.tool.txs.rejected_txs
        assert result.block_exception is None, result.block_exception
        header = self.header(
            parent=keccak256(rlp.encode(parent)), number_=number_, root=result.state_root, transactions=result.tx_root,
            receipts=result.receipt_root, bloom=result.bloom, gas_used=result.gas_used, base_fee=base_fee, time=time,
            withdrawals=result.withdrawals_root, blob_gas=sum(int(self.gas.calculate_total_blob_gas(one)) for one in done.tool.txs.transactions), excess=excess, beacon=beacon,
            requests=result.requests_hash, random_=random_,
        )
        block = self.blocks_module.Block(
            header=header, transactions=tuple(done.tool.txs.all_txs), ommers=(), withdrawals=tuple(done.tool.env.withdrawals))
        self.check(block)
        self.alloc = fill(done.tool.alloc.to_json())
        for key in self.keys:
            key.nonce = int(self.alloc.get(key.address, {}).get("nonce", "0x0"), 16)
        self.headers.append(header)
        self.blocks.append((block, len(taken)))

    def accepted(self, made, withdrawals, env):
        """Those that the specification takes one after the other."""
        taken = list(made)
        while True:
            done = self.transition(taken, withdrawals, env)
            refused = done.tool.txs.rejected_txs
            if not refused:
                return taken
            taken = [raw for index, raw in enumerate(taken) if index not in refused]

    def check(self, block):
        """The whole block by the specification's own rules for blocks."""
        done = self.transition([], [], dict(self.env_of_genesis()))
        genesis_block = lambda header: self.blocks_module.Block(header=header, transactions=(), ommers=(), withdrawals=())
        chain = self.fork.BlockChain(
            blocks=[genesis_block(header) for header in self.headers], state=done.tool.alloc.state, chain_id=U64(CHAIN_ID))
        self.fork.state_transition(chain, block)

    def as_test(self):
        genesis = self.blocks_module.Block(header=self.genesis, transactions=(), ommers=(), withdrawals=())
        return {
            "network": self.name,
            "pre": self.pre,
            "genesisRLP": "0x" + rlp.encode(genesis).hex(),
            "blocks": [{"rlp": "0x" + rlp.encode(block).hex()} for block, _ in self.blocks],
            "lastblockhash": "0x" + keccak256(rlp.encode(self.headers[-1])).hex(),
        }


def fill(alloc):
    return {
        address: {"balance": account.get("balance", "0x0"), "nonce": account.get("nonce", "0x0"),
                  "code": account.get("code", "0x"), "storage": account.get("storage", {})}
        for address, account in alloc.items() if account is not None
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chains", type=int, default=20, help="chains per fork")
    parser.add_argument("--blocks", type=int, default=6, help="blocks per chain")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "blocks")
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True)
    for fork in ("Prague", "Osaka"):
        blocks = transactions = 0
        tests = {}
        for seed in range(arguments.chains):
            chain = Chain(fork, seed)
            for _ in range(arguments.blocks):
                chain.make_block()
            tests[f"{fork}_{seed:02}"] = chain.as_test()
            blocks += len(chain.blocks)
            transactions += sum(count for _, count in chain.blocks)
            print(f"{fork} chain {seed}: {[count for _, count in chain.blocks]} transactions", flush=True)
        (arguments.out / f"{fork.lower()}.json").write_text(json.dumps(tests, indent=0) + "\n")
        print(f"{fork}: {blocks} blocks, {transactions} transactions")


if __name__ == "__main__":
    main()
