"""web3.py as a script or a back end uses it."""

import asyncio
import json
import pathlib
import sys
import time

from eth_account import Account
from web3 import AsyncWeb3, Web3
from web3.exceptions import ContractCustomError, ContractLogicError, TransactionNotFound, Web3RPCError
from web3.logs import DISCARD
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.providers.persistent import WebSocketProvider

URL = sys.argv[1]
MNEMONIC = "test test test test test test test test test test test junk"
CHAIN_ID = 20_262
MANY = 1_000
PATIENCE_S = 30
RECIPIENT = "0x0000000000000000000000000000000000009E1f"
NOTEBOOK = pathlib.Path(__file__).parents[1] / "node_modules" / ".medina" / "Notebook.json"
CHECKS = 0


def holds(what, condition, seen=None):
    """One thing seen to hold; the first that does not ends the script."""
    global CHECKS
    if not condition:
        print(f"FAILED  web3.py: {what}: saw {seen!r}"[:1_000], file=sys.stderr)
        sys.exit(1)
    CHECKS += 1
    print(f"ok  web3.py: {what}")


def equal(what, actual, expected):
    holds(what, actual == expected, (actual, "expected", expected))


def fails(kind, action):
    """The error of a kind that `action` must raise."""
    try:
        answer = action()
    except kind as error:
        return error
    return holds(f"{kind.__name__} is raised", False, answer)


def account(index):
    Account.enable_unaudited_hdwallet_features()
    return Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")


def chain(w3, owner):
    holds("the node answers", w3.is_connected())
    equal("the chain id is the network's", w3.eth.chain_id, CHAIN_ID)
    equal("net_version is, too", w3.net.version, str(CHAIN_ID))
    holds("the node names itself", w3.client_version.startswith("Medina/v"), w3.client_version)
    equal("it is not syncing", w3.eth.syncing, False)
    equal("gas costs nothing", [w3.eth.gas_price, w3.eth.max_priority_fee], [0, 0])
    holds("the account is funded", w3.eth.get_balance(owner.address) > 900 * 10**18)
    # Its middleware for other permissioned chains is not needed: extraData is within Ethereum's 32 bytes.
    block = w3.eth.get_block("latest", full_transactions=True)
    holds("a block is read without special middleware", len(block.extraData) <= 32, block.extraData)
    history = w3.eth.fee_history(4, "latest", [50])
    equal("fee history has one more base fee", len(history.baseFeePerGas) - len(history.gasUsedRatio), 1)


def deploy(w3):
    compiled = json.loads(NOTEBOOK.read_text())
    factory = w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
    receipt = w3.eth.wait_for_transaction_receipt(factory.constructor("Zahlen").transact())
    book = w3.eth.contract(address=receipt.contractAddress, abi=compiled["abi"])
    equal("a call reads what the constructor stored", book.functions.title().call(), "Zahlen")
    return book


def send(w3, sender, transaction):
    nonce = w3.eth.get_transaction_count(sender.address, "pending")
    common = {"to": RECIPIENT, "value": 1, "gas": 100_000, "chainId": CHAIN_ID, "nonce": nonce}
    signed = sender.sign_transaction({**common, **transaction})
    sent = w3.eth.send_raw_transaction(signed.raw_transaction)
    if sent != signed.hash:
        holds("node and client compute the same hash", False, (sent, signed.hash))
    return w3.eth.wait_for_transaction_receipt(sent, timeout=PATIENCE_S, poll_latency=0.05)


def types(w3, owner, book):
    fees = {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0}
    access = [{"address": RECIPIENT, "storageKeys": ["0x" + "00" * 32]}]
    delegator = account(36)
    nonce = w3.eth.get_transaction_count(delegator.address)
    authorization = delegator.sign_authorization({"chainId": CHAIN_ID, "address": book.address, "nonce": nonce})
    kinds = [
        {"gasPrice": 0},
        {"type": 1, "gasPrice": 0, "accessList": access},
        {"type": 2, **fees},
        {"type": 4, **fees, "authorizationList": [authorization]},
    ]
    receipts = [send(w3, owner, kind) for kind in kinds]
    equal("types 0, 1, 2 and 4 are included", [(r.type, r.status) for r in receipts], [(0, 1), (1, 1), (2, 1), (4, 1)])
    code = bytes(w3.eth.get_code(delegator.address))
    equal("the account delegates", code.hex(), "ef0100" + book.address[2:].lower())
    found = w3.eth.get_transaction(receipts[1].transactionHash)
    equal("the access list is read back", len(found.accessList), 1)


def events(w3, owner, book):
    # Not from "latest": other clients make blocks meanwhile, and the filter's range would move on with them.
    start = w3.eth.block_number + 1
    polled = book.events.Noted.create_filter(from_block=start, argument_filters={"writer": owner.address})
    receipt = w3.eth.wait_for_transaction_receipt(book.functions.note("first").transact())
    decoded = book.events.Noted().process_receipt(receipt, errors=DISCARD)
    equal("the receipt's log is decoded", [log.args.text for log in decoded], ["first"])
    changes = polled.get_new_entries()
    equal("a polling filter delivers it", [log.transactionHash for log in changes], [receipt.transactionHash])
    equal("... once", polled.get_new_entries(), [])
    equal("... and all of it when asked", [log.args.page for log in polled.get_all_entries()], [1])
    found = book.events.Noted.get_logs(from_block=0, argument_filters={"page": 1})
    equal("get_logs finds it", [log.transactionHash for log in found], [receipt.transactionHash])
    proof = w3.eth.get_proof(book.address, [1], receipt.blockNumber)
    equal("a proof has the page count", int.from_bytes(proof.storageProof[0].value, "big"), 1)
    equal("history is read", book.functions.pages().call(block_identifier=receipt.blockNumber - 1), 0)


def reverts(w3, owner, book):
    refused = fails(ContractLogicError, lambda: book.functions.refuse("closed on Sundays").call())
    holds("a revert's reason is decoded", "closed on Sundays" in str(refused), str(refused))
    estimated = fails(ContractLogicError, lambda: book.functions.refuse("closed on Sundays").transact())
    holds("so it is when gas is estimated", "closed on Sundays" in str(estimated), str(estimated))
    full = fails(ContractCustomError, lambda: book.functions.overfill().call({"from": owner.address}))
    holds("a custom error comes as data", owner.address[2:].lower() in str(full.data), full.data)
    data = book.functions.refuse("no").build_transaction({"gas": 100_000, "from": owner.address, "nonce": 0})["data"]
    failed = send(w3, owner, {"to": book.address, "value": 0, "data": data, "gasPrice": 0})
    equal("a failing transaction is included as failed", failed.status, 0)
    used = {"to": RECIPIENT, "gas": 21_000, "gasPrice": 0, "nonce": 0, "chainId": CHAIN_ID, "value": 5}
    raw = owner.sign_transaction(used).raw_transaction
    low = fails(Web3RPCError, lambda: w3.eth.send_raw_transaction(raw))
    holds("a used nonce is refused in geth's words", "nonce too low" in str(low), str(low))
    fails(TransactionNotFound, lambda: w3.eth.get_transaction(b"\7" * 32))
    holds("an unknown transaction is not found", True)


async def subscribe(owner, book):
    async with AsyncWeb3(WebSocketProvider(URL.replace("http", "ws", 1))) as w3:
        heads = await w3.eth.subscribe("newHeads")
        logs = await w3.eth.subscribe("logs", {"address": book.address})
        await asyncio.to_thread(book.functions.note("over a socket").transact)
        numbers, log = [], None
        async with asyncio.timeout(PATIENCE_S):
            async for message in w3.socket.process_subscriptions():
                if message["subscription"] == heads:
                    numbers.append(message["result"].number)
                else:
                    log = message["result"]
                # Others make blocks, too.
                if log and numbers and numbers[-1] >= log.blockNumber:
                    break
        decoded = book.events.Noted().process_log(log)
        equal("a subscription delivers the event", decoded.args.text, "over a socket")
        equal("a subscription delivers every head in order", numbers, [numbers[0] + i for i in range(len(numbers))])
        holds("a subscription ends", await w3.eth.unsubscribe(logs))


def many(w3, sender):
    first = w3.eth.get_transaction_count(sender.address, "pending")
    common = {"to": RECIPIENT, "value": 0, "gas": 21_000, "gasPrice": 0, "chainId": CHAIN_ID}
    nonces = list(range(first, first + MANY))
    sent = []
    for nonce in nonces:
        signed = sender.sign_transaction({**common, "nonce": nonce})
        sent.append(w3.eth.send_raw_transaction(signed.raw_transaction))
    w3.eth.wait_for_transaction_receipt(sent[-1], timeout=PATIENCE_S)
    places = []
    for start in range(0, MANY, 250):
        with w3.batch_requests() as batch:
            for hash_ in sent[start : start + 250]:
                batch.add(w3.eth.get_transaction(hash_))
            places += batch.execute()
    equal("1000 transactions have nonces in a row", [place.nonce for place in places], nonces)
    order = [(place.blockNumber, place.transactionIndex) for place in places]
    holds("they are included in the order sent", order == sorted(order) and len(set(order)) == MANY, order[:3])


def main():
    began = time.monotonic()
    owner = account(1)
    w3 = Web3(Web3.HTTPProvider(URL))
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(owner), layer=0)
    w3.eth.default_account = owner.address
    chain(w3, owner)
    book = deploy(w3)
    types(w3, owner, book)
    events(w3, owner, book)
    reverts(w3, owner, book)
    asyncio.run(subscribe(owner, book))
    many(w3, account(37))
    print(f"ok  web3.py: all {CHECKS} checks in {time.monotonic() - began:.0f} s")


main()
